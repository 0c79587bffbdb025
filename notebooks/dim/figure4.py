# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # DiM, Figure 4: architecture of the generator
#
# **What the paper shows.** The generator's architecture: "a Fully-Connected (FC) layer, BN, ReLU, 3 ConvTranspose2d
# layers, BN, ReLu, 4 blocks of CONV-BN-ReLU, CONV, and tanh activation. The input and output dimensions of FC are 100
# and 194\*4\*4. The input and output channels of the last CONV are 196 and 3."

# %% tags=["parameters"]
profile: str = "quick"  # quick, cpu or paper
datasets: str = ""  # comma-separated; empty: the profile's
ipcs: str = ""  # images per class, comma-separated; empty: the item's or the profile's
methods: str = ""  # comma-separated; empty: the item's
seeds: int = 0  # synthetic sets of each method; 0: the profile's
workers: int = 0  # processes; 0: one per core
device: str = "auto"
results: str = ""  # folder of the records; empty: reports/results
data: str = ""  # folder of the data sets; empty: DREAMLIB_DATA, else data
plugins: str = ""  # Python files with your own parts
reports: str = "reports"  # where rendered pages and tables go

# %%
import pandas as pd
import torch

from dreamlib import networks
from dreamlib.companion.report import tables, words
from dreamlib.companion.session import Session
from dreamlib.containers import Generator

session = Session.of_notebook("dim/figure4", globals())

import diagrams  # next to this notebook

session.about()

# %% [markdown]
# ## The generator at its published width
# Blue: fully connected; orange: transposed convolution, which doubles the maps; green: convolution. In each box:
# channels in and out, kernel and stride, what comes out, and how many numbers it learns.

# %%
SHORT = {
    "BatchNorm1d": "BN",
    "BatchNorm2d": "BN",
    "LayerNorm": "LN",
    "ReLU": "ReLU",
    "LeakyReLU": "leaky ReLU",
    "Tanh": "tanh",
}
TITLES = {"Linear": "FC", "ConvTranspose2d": "ConvTranspose", "Conv2d": "Conv"}


def box(block):
    after = ", ".join(SHORT[kind] for kind in block.kinds[1:] if kind in SHORT)
    shape = "x".join(map(str, block.shape))
    sizes = block.detail.replace(", ", "\n", 1)
    text = (sizes, *([after] if after else []), f"gives {shape}", f"learns {block.parameters:,}")
    return diagrams.Block(block.kinds[0], TITLES[block.kinds[0]], text)


def in_words(what, chained):
    """A diagram for those who do not see it."""
    layers = (f"{TITLES[block.kinds[0]]} {block.detail.split(', ')[0]}" for block in chained)
    return f"The layers of the {what}, one after the other: {'; '.join(layers)}."


def generator(shape, classes, container):
    module = container.module(shape, classes)
    inputs = torch.zeros(1, container.noise), torch.zeros(1, dtype=torch.int64)
    return module, networks.blocks(networks.layers(module, *inputs))


PUBLISHED = Generator()
module, blocks = generator((3, 32, 32), 10, PUBLISHED)
axes = diagrams.chain(
    [box(block) for block in blocks],
    start="noise,\nthe label\nin its first\n10 places",
    end="image\nin [-1, 1]",
    title=f"Generator, width {PUBLISHED.width}, 3x32x32: {networks.parameter_count(module):,} weights",
)
session.save_figure(axes.figure, "published", in_words("generator at its published width", blocks))

# %% [markdown]
# ## As this profile has it

# %%
lines = []
if session.profile.published:
    session.say("As published, so there is nothing to add.")
for name in () if session.profile.published else session.study.datasets:
    dataset, container = session.dataset(name), session.cell("dim", name, 10).recipe.container
    own, here = generator(dataset.shape, dataset.num_classes, container)
    discriminator = networks.DiscriminatorNetwork(dataset.shape, dataset.num_classes, container.width)
    size = "x".join(map(str, dataset.shape))
    axes = diagrams.chain(
        [box(block) for block in here],
        start="noise,\nlabel inside" if container.label == "inside" else "noise,\nlabel beside",
        end="image\nin [-1, 1]",
        title=f"{words.data_set(name)}, profile {profile}: width {container.width}, {size}, "
        f"{networks.parameter_count(own):,} weights",
    )
    session.save_figure(axes.figure, name, in_words(f"generator on {words.data_set(name)}", here))
    lines.append(
        {
            "images": f"{words.data_set(name)}, {size}",
            "width": container.width,
            "generator (weights)": networks.parameter_count(own),
            "discriminator (weights)": networks.parameter_count(discriminator),
            "generator in float32": words.size(4 * networks.parameter_count(own)),
        }
    )

# %% [markdown]
# ## The discriminator
# Eight convolutions with layer norm and leaky ReLU, the strongest response of every channel, and two answers: how
# real, and which class: the last two boxes both read these responses, side by side. It is thrown away after training.
# Layer norm learns two numbers for every number of a map.

# %%
against = networks.DiscriminatorNetwork((3, 32, 32), 10, PUBLISHED.width)
parts = networks.blocks(networks.layers(against, torch.zeros(1, 3, 32, 32)))
axes = diagrams.chain(
    [box(block) for block in parts],
    start="image\nin [-1, 1]",
    end="how real,\nwhich class",
    title=f"Discriminator, width {PUBLISHED.width}, 3x32x32: {networks.parameter_count(against):,} weights",
)
session.save_figure(axes.figure, "discriminator", in_words("discriminator", parts))

# %%
lines.insert(
    0,
    {
        "images": "published, 3x32x32",
        "width": PUBLISHED.width,
        "generator (weights)": networks.parameter_count(module),
        "discriminator (weights)": networks.parameter_count(against),
        "generator in float32": words.size(4 * networks.parameter_count(module)),
    },
)
session.save_frame(pd.DataFrame(lines), digits=0)

# %% [markdown]
# ## Text and code
# What the paper's text says of Figure 4, and what the module has.

# %%
kinds = [kind for block in blocks for kind in block.kinds]
convolutions = [block for block in blocks if block.kinds[0] == "Conv2d"]
normed = [block for block in convolutions if block.kinds == ("Conv2d", "BatchNorm2d", "ReLU")]
first, last = module.start[0], module.body[-2]
told = [
    ("inputs of FC", "100", str(first.in_features)),
    ("outputs of FC", "194*4*4 = 3,104", f"{PUBLISHED.width}*4*4 = {first.out_features:,}"),
    ("ConvTranspose2d layers", "3", str(kinds.count("ConvTranspose2d"))),
    ("blocks of CONV-BN-ReLU", "4", str(len(normed))),
    ("channels of the last CONV", "196 to 3", f"{last.in_channels} to {last.out_channels}"),
    ("at the end", "tanh", SHORT[kinds[-1]]),
    (
        "the label",
        "beside the noise (Eq. 4): K + 10 inputs",
        "in place of its first 10 numbers: K = 100 inputs (released code)",
    ),
]
tables.styled(pd.DataFrame(told, columns=["what", "text of the paper", "module"]))

# %% [markdown]
# ## What is drawn
#
# The same from the code: every block, what it gives and how much it learns is read from the module that is trained
# here, at the published width and as this profile has it. The discriminator, which the paper does not draw, follows the
# released code.

# %% [markdown]
# ## How the verdicts come about
# The text and the module agree but for one number: an FC of 194\*4\*4 outputs cannot feed convolutions of 196 channels,
# so 194 must be a slip. And 100 inputs leave no room next to 100 numbers of noise for a label: Equation 4 puts it
# there, the released code writes it over the first numbers of the noise, and so does this container unless told
# otherwise (`container.label="beside"`).

# %%
agrees = {what: text.split(" ")[0] == found.split(" ")[0] for what, text, found in told}
session.verdict(
    [
        (
            "3 transposed convolutions and 4 blocks of CONV-BN-ReLU, a convolution from 196 channels to 3, and tanh",
            all(
                agrees[what]
                for what in (
                    "ConvTranspose2d layers",
                    "blocks of CONV-BN-ReLU",
                    "channels of the last CONV",
                    "at the end",
                )
            ),
            f"{kinds.count('ConvTranspose2d')} and {len(normed)}; {last.in_channels} to {last.out_channels}",
        ),
        ("FC from 100 to 194*4*4", agrees["outputs of FC"], f"{first.in_features} to {PUBLISHED.width}*4*4"),
        (
            "noise and label are concatenated (Eq. 4), and FC has 100 inputs (Figure 4)",
            networks.GeneratorNetwork((3, 32, 32), 10, label="beside").start[0].in_features == 100,
            "with K = 100 and the label beside the noise there are "
            f"{networks.GeneratorNetwork((3, 32, 32), 10, label='beside').start[0].in_features} inputs",
        ),
    ]
)

# %%
# NBVAL_CHECK_OUTPUT
print(
    session.check(
        others={  # measured, expected, and how far they may lie apart
            "published generator, weights": (networks.parameter_count(module), 3559363, 0),
            "published discriminator, weights": (networks.parameter_count(against), 3137971, 0),
            "generator of quick, weights": (lines[-1]["generator (weights)"], 37713, 0),
            "discriminator of quick, weights": (lines[-1]["discriminator (weights)"], 31435, 0),
        },
    )
)
assert sum(block.parameters for block in blocks) == networks.parameter_count(module)
assert sum(block.parameters for block in parts) == networks.parameter_count(against)
print("the blocks are the whole module")
