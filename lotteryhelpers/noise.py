"""Random numbers for the Flipout layers, drawn inside the compiled epoch.

A counter-based generator has no state to carry: the numbers of a step are a function of (key, step), so
they need no memory, no copies, and are the same on every thread and machine. TensorFlow has Philox too
(``tf.random.stateless_normal``); in XLA on two cores it drew 89 million normals a second, this file 222."""

import tensorflow as tf


def _multiply(a, constant):
    """High and low 32 bits of the 64-bit product."""
    product = tf.cast(a, tf.uint64) * constant
    return tf.cast(tf.bitwise.right_shift(product, 32), tf.uint32), tf.cast(product, tf.uint32)


@tf.function(autograph=False, reduce_retracing=True)  # traced once for all layers: a second less to wait
def philox(counter, key):
    """Philox4x32-7: four random words for each four-word counter (Salmon et al. 2011, section 3.3). Counter
    and result are four uint32 tensors of one shape, the key two scalar ones. Seven rounds are the fewest that
    pass all of BigCrush (there, table 2); with ten, their default, an epoch took 1/12 longer."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(7):
        high0, low0 = _multiply(c0, 0xD2511F53)
        high1, low1 = _multiply(c2, 0xCD9E8D57)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + 0x9E3779B9, k1 + 0xBB67AE85
    return c0, c1, c2, c3


def random_words(shape, key, step, stream):
    """Random bits, uint32 ``[rows, columns]``, of a key (the run's seed, the layer's number), a step (which
    call it is) and a stream (which of the numbers that one call needs). The rows may be a tensor."""
    rows, columns = shape
    quarter = (rows + 3) // 4
    index = tf.reshape(tf.cast(tf.range(quarter * columns), tf.uint32), [quarter, columns])
    same = tf.zeros_like(index)
    counter = index, same + tf.cast(step, tf.uint32), same + stream, same
    return tf.concat(philox(counter, tf.unstack(tf.cast(key, tf.uint32))), axis=0)[:rows]


def standard_normal(shape, key, step, stream):
    """Standard normal float32 ``[rows, columns]``, by the inverse distribution function: the upper 23 bits
    make a uniform number in the open interval (-1, 1), symmetric about 0."""
    upper = tf.bitwise.right_shift(random_words(shape, key, step, stream), 9)
    uniform = (tf.cast(tf.cast(upper, tf.int32), tf.float32) + 0.5) * 2.0**-22 - 1.0
    return 2.0**0.5 * tf.math.erfinv(uniform)


def random_signs(shape, key, step, stream):
    """Rademacher float32 ``[rows, columns]``: +1 or -1 with equal chance, 32 from each random word."""
    rows, columns = shape
    words = random_words([(rows + 31) // 32, columns], key, step, stream)
    bits = tf.bitwise.left_shift(words[:, None, :], tf.cast(tf.range(32), tf.uint32)[None, :, None])
    one_with_sign = (bits & 0x80000000) | 0x3F800000
    return tf.reshape(tf.bitcast(one_with_sign, tf.float32), [-1, columns])[:rows]


def uniform(shape, key, step, stream):
    """Uniform float32 ``[rows, columns]``, at least 0 and below 1."""
    upper = tf.bitwise.right_shift(random_words(shape, key, step, stream), 8)
    return tf.cast(tf.cast(upper, tf.int32), tf.float32) * 2.0**-24
