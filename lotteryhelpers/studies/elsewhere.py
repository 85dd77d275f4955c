"""Does it hold elsewhere? Fashion-MNIST with 300-100, and LeNet-5 on both data sets (notebook 12).

Written down before the first run; no study has used these seeds. As in the series: Glorot starts, masks after
15 epochs, each layer's share by the half-rate rule, which a convolution has too; tickets of ten epochs, of
LeNet-5 five. Plain magnitude is |w| of a dense network after as many epochs, and after as many seconds (an
epoch of Flipout took three dense ones, of LeNet-5's 1.8, on a thread). Named, in each of the three settings
at 20 and at 5%, both readings, margin 0.3: (1) variance minus random; (2) snr minus the dense network; (3)
snr minus |mu|; (4) |mu| minus plain magnitude of equal epochs and (5) of equal seconds. Ten seeds for
Fashion-MNIST with 300-100, five for LeNet-5.

Expected on Fashion-MNIST with 300-100, where hardly a pixel is dead: (1) as good at 20%, worse at 5%, for
what helped the variance on MNIST was which pixels vary; (2) as good at 20%, behind at 5%; (3) as good; (4)
and (5) as good at 20%, ahead at 5%. With LeNet-5, where no weight belongs to a pixel: (1) as good at 20%,
worse at 5%; (2) as good at 20%, worse at 5%, for nine tenths of its weights are in layers that lose 95%; (3)
as good; (4) and (5) as good at 20%, ahead at 5% on Fashion-MNIST.

Added when these tables were there, so that nothing but the data or the network differs: 12_mnist, MNIST with
300-100 and the ten seeds, which used to be read from tables of other starts and lengths. Expected: (1) as
good at 20%, not decided at 5%; (2) and (3) as good; (4) and (5) as good at 20%, ahead at 5%."""

import dataclasses
import itertools

import lotteryhelpers as lh
from lotteryhelpers.studies import rounds
from lotteryhelpers.studies.shared import at, gather, masks_of, start_of, ticket, trained

TABLES = dict.fromkeys(("12_mnist", "12_fashion", "12_lenet", "12_lenet_fashion"),
                       "source criterion scope density seed")  # fmt: skip
STORED = {"seeds": range(620, 630), "densities": (0.2, 0.05), "lenet": lh.LENET_5,
          "lengths": tuple(map(lh.TrainConfig, (15, 45, 10))),
          "lenet_lengths": tuple(map(lh.TrainConfig, (15, 27, 5)))}  # fmt: skip
LIVE = {"seeds": range(620, 623), "densities": (0.2,), "lenet": rounds.LIVE["lenet"]["hidden"],
        "lengths": tuple(lh.TrainConfig(epochs, 64, 3e-3) for epochs in (60, 120, 40)),
        "lenet_lengths": tuple(lh.TrainConfig(epochs, 64, 3e-3) for epochs in (30, 60, 15))}  # fmt: skip
TRAININGS = "lengths", "lenet_lengths", "lenet"
CRITERIA = {"posterior": ("variance", "snr", "magnitude", "inverted"), "dense": ("magnitude",),
            "dense, equal seconds": ("magnitude",), "control": ("random", "shuffled_rows", "pixel_variance")}


def rows(dataset, seeds, densities, lenet, lengths, lenet_lengths, table="12_mnist", client=None):
    """Yield rows of ``table``, of LeNet-5 (hidden layers ``lenet``) with the first five seeds; on another
    dataset than MNIST of that alone. Lengths are of posterior, dense network of its seconds, tickets."""
    data = "fashion_mnist" if "fashion" in table and dataset.name == "mnist" else dataset.name
    how, seeds = ((lenet, lenet_lengths), seeds[:5]) if "lenet" in table else (((300, 100), lengths), seeds)
    return gather(dataset, [(tickets, data, densities, seed, *how) for seed in seeds], client)


def tickets(dataset, data, densities, seed, hidden, lengths):
    """A seed's tickets; with the counts of one ``"threshold"``, the variance's and chance's too."""
    dataset = dataset if dataset.name == data else lh.load_dataset(data)
    bayesian, longer, config = (dataclasses.replace(length, seed=seed) for length in lengths)
    start = start_of(dataset, seed, hidden=hidden)
    run = trained(dataset, start, "posterior", bayesian)
    dense = trained(dataset, start, "dense", longer, snapshots=(bayesian.epochs,))
    runs = dict.fromkeys(("posterior", "control", "threshold"), run) | {"dense, equal seconds": dense}
    runs["dense"] = at(dense, dense.snapshots[bayesian.epochs])
    asked = [(source, name, "layer", d) for source, names in CRITERIA.items() for name in names
             for d in densities if not (name == "pixel_variance" and start.convs)]  # fmt: skip
    asked += itertools.product(("threshold",), ("variance", "random"), ("variance",), densities)
    for source, name, scope, density in [("control", "dense network", "layer", 1.0), *asked]:
        masks = masks_of(dataset, runs[source], seed, name, density, scope=scope) if density < 1 else None
        yield {"seed": seed, "source": source, "criterion": name, "scope": scope, "density": density,
               } | ticket(dataset, start, masks, config, also=("curve",))  # fmt: skip
