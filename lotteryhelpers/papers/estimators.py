"""Two more estimators of the gradient that Flipout estimates, to compare with."""

import tensorflow as tf

from lotteryhelpers.networks import EPSILON, ESTIMATORS, Flipout


class Reparameterization(Flipout):
    """One draw of the weights for the whole batch (Blundell et al. 2015, section 3.2): TFP's
    ``DenseReparameterization``. One product, but all images of the batch share their noise."""

    def _apply_variational_kernel(self, inputs):
        posterior, self.kernel_posterior_tensor = self.kernel_posterior.distribution, None
        return tf.matmul(inputs, posterior.loc + posterior.scale * self.draw_normals(self.loc.shape))


class LocalReparameterization(Flipout):
    """Noise for each image's activations instead of the weights (Kingma et al. 2015, eq. 6): TFP's
    ``DenseLocalReparameterization``. Two products, and a normal number an activation."""

    def _apply_variational_kernel(self, inputs):
        posterior, self.kernel_posterior_tensor = self.kernel_posterior.distribution, None
        mean, variance = tf.matmul(inputs, posterior.loc), tf.matmul(inputs**2, posterior.scale**2)
        stddev = tf.sqrt(variance + EPSILON**2)  # an image of zeros must not make the gradient infinite
        return mean + stddev * self.draw_normals([tf.shape(inputs)[0], self.units])


ESTIMATORS |= {"local": LocalReparameterization, "shared": Reparameterization}
