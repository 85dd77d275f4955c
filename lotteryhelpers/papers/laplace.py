"""The diagonal Laplace approximation: a posterior for a network that is trained already (MacKay 1992)."""

import numpy as np
import tensorflow as tf

from lotteryhelpers.posterior import BayesianRun, Posterior
from lotteryhelpers.tickets import TicketRun
from lotteryhelpers.training import check_positive


def laplace(dataset, ticket: TicketRun, *, prior_stddev=1.0) -> BayesianRun:
    """A Gaussian around a ``TicketRun``'s weights, narrow where the loss is curved.

    The deviations are 1 / sqrt(N h + 1 / prior_stddev^2), where h, the Hessian's diagonal, is the mean over
    the N training images of the second derivative of an image's loss: one pass. What the ticket's masks prune
    has the deviation 0. ``initial`` is the ticket's start. A ValueError names a bad argument.
    """
    check_positive("prior_stddev", prior_stddev)
    if not isinstance(ticket, TicketRun):
        raise ValueError(f"ticket is a {type(ticket).__name__}; it must be what train_ticket gives")
    parts = np.array_split(dataset.train.images, -(-len(dataset.train.labels) // 1000))  # slopes: 12 MB each
    found = [curvatures(ticket.weights, ticket.biases, images) for images in parts]
    precisions = [np.sum(h, 0, np.float64) + np.float64(prior_stddev) ** -2 for h in zip(*found, strict=True)]
    stddevs = [np.where(m, p**-0.5, 0) for m, p in zip(ticket.masks, precisions, strict=True)]
    return BayesianRun(ticket.initial, Posterior(ticket.weights, stddevs, ticket.biases), {}, ticket.history)


def curvatures(weights, biases, images):
    """The second derivatives of the summed loss by each weight, ``[inputs, units]`` a layer.

    A logit z_c of a ReLU network is linear in any single weight, so that the diagonal is exactly
    Gauss-Newton's: an input squared times the variance of dz_c / d(unit) over the predicted classes c.
    """
    inputs = [tf.convert_to_tensor(images)]
    for kernel, bias in zip(weights[:-1], biases[:-1], strict=True):
        inputs.append(tf.nn.relu(tf.matmul(inputs[-1], kernel) + bias))
    odds = tf.nn.softmax(tf.matmul(inputs[-1], weights[-1]) + biases[-1])
    slopes, found = tf.eye(odds.shape[1], batch_shape=[len(images)]), []  # [images, classes, units]
    for kernel, x in zip(reversed(weights), reversed(inputs), strict=True):
        apart = slopes - tf.einsum("nc,ncj->nj", odds, slopes)[:, None]
        found.insert(0, tf.matmul(x**2, tf.einsum("nc,ncj->nj", odds, apart**2), transpose_a=True))
        slopes = tf.einsum("ncj,ij->nci", slopes, kernel) * tf.cast(x > 0, tf.float32)[:, None]
    return found
