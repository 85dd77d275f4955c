"""Convolutions: what ``hidden=`` says of them, their sizes, and their products."""

import dataclasses

import numpy as np
import tensorflow as tf

from lotteryhelpers.masks import check_one_of, is_integer


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution, for ``hidden=`` before the integers: of stride 1, then each ``pool`` x ``pool`` pixels'
    largest, then ReLU. Its kernel is ``[kernel * kernel * channels, units]``."""

    units: int  # filters
    kernel: int = 5  # pixels a side
    pool: int = 2  # pixels a side, 1 for none; what is left over at the right and below is dropped
    padding: str = "valid"  # "same": zeros around the image, so that what comes out is as large
    image: tuple = ()  # what it reads, (rows, columns, channels): known only within a network

    def __post_init__(self):
        for name in ("units", "kernel", "pool"):
            if not is_integer(getattr(self, name), 1, 10**5):
                raise ValueError(f"{name}={getattr(self, name)!r} must be an integer from 1 to 100,000")
            object.__setattr__(self, name, int(getattr(self, name)))  # JSON knows no NumPy integers
        check_one_of("padding", self.padding, ("valid", "same"))
        object.__setattr__(self, "image", tuple(map(int, self.image)))

    shape = property(lambda self: (self.kernel**2 * self.image[-1], self.units), doc="The kernel's.")

    @property
    def output(self):
        """What it gives: (rows, columns, units)."""
        valid = self.padding == "valid"
        rows, columns = ((side - valid * (self.kernel - 1)) // self.pool for side in self.image[:2])
        if min(rows, columns) < 1:
            raise ValueError(f"{self} leaves nothing of such an image: take a smaller kernel or pool")
        if not valid and self.kernel >= 2 * min(self.image[:2]):
            raise ValueError(f"kernel={self.kernel} has weights that read no pixel of {self.image}")
        return rows, columns, self.units


#: The classic LeNet-5 (LeCun et al. 1998), with ReLU and largest pixels: on 28 x 28, 61,470 weights.
LENET_5 = (Conv(6, padding="same"), Conv(16), 120, 84)


def on_images(sizes):
    """``sizes`` that begin with the images' shape, such as ((28, 28), *LENET_5, 10), with their number of
    pixels in its place, and every Conv told what it reads. A ValueError says what can't be."""
    (first, *rest), convs = sizes, [size for size in sizes if isinstance(size, Conv)]
    if rest[: len(convs)] != convs or len(convs) == len(rest):
        raise ValueError(f"{rest!r}: a Conv must come before the fully connected layers")
    if isinstance(first, int | np.integer):
        if convs and int(np.prod(convs[0].image)) != first:
            raise ValueError(f"sizes={sizes!r}: before a Conv the images' shape is needed, such as (28, 28)")
        return tuple(sizes)
    if convs and len(first) not in (2, 3):
        raise ValueError(f"images of the shape {first}: a Conv needs (rows, columns), or channels too")
    image = (*first, 1)[:3]
    for place, conv in enumerate(convs):
        rest[place] = dataclasses.replace(conv, image=image)
        image = rest[place].output
    return int(np.prod(first)), *rest


def kernel_shapes(sizes):
    """``(inputs, units)`` of each layer's kernel."""
    shapes, inputs = [], sizes[0]
    for size in sizes[1:]:
        shapes.append(size.shape if isinstance(size, Conv) else (inputs, size))
        inputs = int(np.prod(size.output)) if isinstance(size, Conv) else size
    return shapes


def product(inputs, kernel, conv=None):
    """``[n, inputs]`` times ``[inputs, units]``; or what ``conv`` gives, ``[n, rows, columns, units]``."""
    if conv is None:
        return tf.matmul(inputs, kernel)
    images = tf.reshape(inputs, [tf.shape(inputs)[0], *conv.image])
    filters = tf.reshape(kernel, [conv.kernel, conv.kernel, conv.image[-1], conv.units])
    return tf.nn.conv2d(images, filters, strides=1, padding=conv.padding.upper())


def with_bias(sums, bias, conv=None):
    """What a layer's ReLU gets from its ``product``, ``[n, units]``; of a convolution flat, after pooling."""
    if conv is None:  # else after pooling: the largest sum stays the largest, and there are fewer to add to
        return tf.nn.bias_add(sums, bias)
    pooled = tf.nn.max_pool2d(sums, conv.pool, conv.pool, "VALID") if conv.pool > 1 else sums
    return tf.reshape(tf.nn.bias_add(pooled, bias), [-1, int(np.prod(conv.output))])
