"""Says why a library call should not run while a notebook is graded, from its dotted name."""

from __future__ import annotations

from grader.submission.magics import DOWNLOADS, INSTALLS, SHELL

TRAINS = "trains a model"
ASKS = "asks for input"
MOUNTS = "talks to Colab"
LOGS_IN = "talks to a logging service"
LOADS_SAVED = "loads a saved model"
PROVIDED_DATA = "downloads data that the grader provides"
STOPS = "stops the notebook"
# A function of the notebook that does these may run all the same.
NOT_PASSED_ON = frozenset({PROVIDED_DATA, STOPS})
# Longest prefix wins; a trailing dot takes in everything below.
_CAUSES = {
    "torchvision.datasets.": DOWNLOADS,
    "torchvision.datasets.FakeData": "",
    "torchvision.datasets.ImageFolder": "",
    "torchvision.datasets.DatasetFolder": "",
    "torchvision.datasets.VisionDataset": "",
    "torchaudio.datasets.": DOWNLOADS,
    "torchtext.datasets.": DOWNLOADS,
    "keras.datasets.": DOWNLOADS,
    "tensorflow.keras.datasets.": DOWNLOADS,
    "urllib.request.urlretrieve": DOWNLOADS,
    "urllib.request.urlopen": DOWNLOADS,
    "requests.": DOWNLOADS,
    "httpx.": DOWNLOADS,
    "wget.": DOWNLOADS,
    "gdown.": DOWNLOADS,
    "kagglehub.": DOWNLOADS,
    "huggingface_hub.": DOWNLOADS,
    "datasets.load_dataset": DOWNLOADS,
    "torch.hub.": DOWNLOADS,
    "torchvision.datasets.utils.": DOWNLOADS,
    "sklearn.datasets.fetch_": DOWNLOADS,
    "nltk.download": PROVIDED_DATA,
    "exit": STOPS,
    "quit": STOPS,
    "sys.exit": STOPS,
    "os._exit": STOPS,
    "os.abort": STOPS,
    "os.kill": STOPS,
    "os.killpg": STOPS,
    "os.exec": STOPS,
    "signal.raise_signal": STOPS,
    "nltk.downloader.": DOWNLOADS,
    "google.colab.": MOUNTS,
    "input": ASKS,
    "getpass.": ASKS,
    "os.system": SHELL,
    "os.popen": SHELL,
    "subprocess.": SHELL,
    "pip.main": INSTALLS,
    "wandb.": LOGS_IN,
    "torch.load": LOADS_SAVED,
    "safetensors.torch.load_file": LOADS_SAVED,
}
_PREFIXES = sorted(_CAUSES, key=len, reverse=True)
_BARE_DATASETS = frozenset(
    {"CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "KMNIST", "SVHN", "STL10", "EMNIST"}
)
_BARE_CAUSES = {
    "urlretrieve": DOWNLOADS,
    "load_dataset": DOWNLOADS,
    "from_pretrained": DOWNLOADS,
    "do_shutdown": STOPS,
    "ask_exit": STOPS,
}
# What the usual imports call these modules, for notebooks that forgot one.
USUAL_NAMES = {
    "datasets": "torchvision.datasets",
    "torchvision": "torchvision",
    "urllib": "urllib",
    "requests": "requests",
    "nltk": "nltk",
    "os": "os",
    "sys": "sys",
    "subprocess": "subprocess",
    "gdown": "gdown",
    "torch": "torch",
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "plt": "matplotlib.pyplot",
    "drive": "google.colab.drive",
    "files": "google.colab.files",
}


def cause_of(name: str) -> str | None:
    """Why a call of this full dotted name should not run: empty if it may run, None if the name is not known."""
    for prefix in _PREFIXES:
        if name == prefix or (name.startswith(prefix) and prefix.endswith((".", "_", ".exec"))):
            return _CAUSES[prefix]
    return None


def cause_of_last(name: str) -> str:
    """The same from the last part of a dotted name, if the whole name is not known; empty if it may run."""
    return _BARE_CAUSES.get(name, "")


def is_dataset(name: str) -> bool:
    """Whether a class of this name, if the notebook defines none, downloads a data set."""
    return name in _BARE_DATASETS
