# %% [markdown]
# # Look into a data file
#
# Shows what a NeXus or HDF5 file holds and plots its default signal.
#
# - **For** any HDF5 file, to see what was measured before choosing an analysis.
# - **Input**: the file. Arrays are not read but for the one that is plotted.
# - **Output**: none; nothing is written.

# %% tags=["parameters"]
input_file: str = "data.nxs"  # [path] file to look into
path: str = ""  # array to plot; empty takes what the file declares, or its largest array
frame: int = 0  # frame to plot of a stack
max_items: int = 300  # lines of the tree

# %%
import matplotlib.pyplot as plt
from nexus_tree import default_signal, open_file, tree

file = open_file(input_file)

# %%
print("\n".join(tree(file, max_items)))

# %%
signal = default_signal(file, path, frame)
if signal is None:
    print("The file has no array of numbers to plot.")
else:
    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    axes.set_title(f"{signal.path} {signal.note}")
    if signal.values.ndim == 1:
        axes.plot(range(len(signal.values)) if signal.axis is None else signal.axis, signal.values, lw=1)
        axes.set(xlabel=signal.axis_label, ylabel=signal.label)
    else:
        image = axes.imshow(signal.values, origin="lower", aspect="auto", cmap="viridis")
        axes.set(xlabel="last axis (index)", ylabel="axis before it (index)")
        figure.colorbar(image, label=signal.label)
    plt.show()

# %% tags=["results"]
results = {"plotted": None if signal is None else signal.path, "entries": list(file)}
file.close()
results

# %% [markdown]
# **Next**: double click the file in the file browser to browse it in h5web; `nxvalidate <file>` in a terminal
# compares it with its NeXus definition.
