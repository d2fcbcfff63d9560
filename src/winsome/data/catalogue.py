"""The data sets that have a name, and the one way to load them or a folder of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from winsome.data.cache import cache_folder, cached
from winsome.data.data_set import DataSet
from winsome.data.decoding import decode
from winsome.data.digits import read_digits
from winsome.data.encoded import DecodedSet, EncodedSet
from winsome.data.folder_sets import Say, in_folder, large_folder
from winsome.data.hub import read_hub
from winsome.data.image_store import OnCorrupt, StoreSpec, image_store
from winsome.data.images import Augmentation, ImageData, ResizedCrop, image_data
from winsome.data.named import is_own, own_set, short_name
from winsome.data.row_groups import read_large_hub
from winsome.errors import WinsomeError, unknown

SixteenBit = Literal["stop", "high-byte"]
IMAGENET = "ILSVRC/imagenet-1k"  # its id on the Hub, behind a licence that is accepted there


def on_hub(hub_id: str, description: str, *, flip: bool = True, **known: Any) -> DataSet:
    """A data set on the Hugging Face Hub, with an image column (img, image) and a label column (label ...).

    Once decoded it is read from the cache by its id, without asking the Hub again: offline too, and always the same images.
    Delete the cached file to fetch a newer version.

    Args:
        hub_id: such as "uoft-cs/cifar10".
        description: one line.
        flip: see `DataSet`.
        known: what else is known of it: `citations`, `image_shape`, `n_classes`, `train_images`, `test_images`.
    """
    return DataSet(description, f"hub {hub_id}", partial(read_hub, hub_id), flip, **known)


def load(
    name_or_folder: str,
    *,
    data_dir: Path | None = None,
    config: str | None = None,
    image_size: int | None = None,
    on_corrupt: OnCorrupt = "stop",
    sixteen_bit: SixteenBit = "stop",
    cache: Path | None = None,
    say: Say = lambda _: None,
) -> ImageData:
    """A data set by its name in `DATA_SETS`, the one in a folder of parquet or image files, or one's own by name, decoded.

    The augmentation is the usual one: crops of the image padded by an eighth of its size (4 for 32 pixels, 8 for 64), and
    mirror images, for all but `digits`. For Tiny-ImageNet paper A (arXiv:2504.05357) takes RandomResizedCrop(64, (0.5, 1));
    padded crops are used here, for they are indexed views. Images stand as their EXIF orientation says, wherever they come
    from. What a data set is called is not what it is: `ImageData.digest()` of images and labels is.

    `imagenet` is stored on disk instead (docs/imagenet.md): `image_size` is what networks take (default 224), `on_corrupt` says
    whether an image that cannot be decoded stops or is left out ("skip"), and the augmentation is random resized crops.

    Args:
        name_or_folder: a name in `DATA_SETS`, a folder, or code of one's own, "FILE.py:NAME" or "PACKAGE.MODULE:NAME": a
            function that gives a `DecodedSet` or an `EncodedSet`, or a `DataSet`. It is asked every time, nothing is cached.
        data_dir: a folder to read a named set from, in place of the Hub.
        config: which of several data sets that lie side by side in a folder; by default the one that its README.md says.
        image_size: pixels of a side to which every image is resized.
        on_corrupt: see above.
        sixteen_bit: grey images of 16 bits are refused, or count by their "high-byte".
        cache: where decoded images are kept; default $WINSOME_CACHE or ~/.cache/winsome.
        say: hears what takes long.

    Raises:
        WinsomeError: there is no such data set, or it cannot be read as it is; names the file and the remedy.
    """
    source = _source(name_or_folder, data_dir, config, say)
    if sixteen_bit != "stop":
        source = replace(source, key=f"{source.key}\n16 bits {sixteen_bit}", read=partial(_high_byte, source.read))
    own = is_own(name_or_folder)
    named = own or name_or_folder in DATA_SETS
    name = short_name(name_or_folder) if named else Path(name_or_folder).expanduser().resolve().name
    folder = cache.expanduser() if cache is not None else cache_folder()
    if source.stored:
        if folder is None:
            raise WinsomeError(f"{name} is stored on disk, and there is no home directory; WINSOME_CACHE=FOLDER names a place")
        return _load_stored(name, source, image_size, on_corrupt, folder, say)
    if on_corrupt != "stop":
        raise WinsomeError(f"{name} is decoded as a whole, and an image that cannot be read stops; on_corrupt is for imagenet")
    key = f"{source.key}\nimage size {image_size}"
    if own:  # what its code reads cannot be seen from here
        content = _decoded(name, source, image_size, say)
    else:
        content = cached(name, key, lambda: _decoded(name, source, image_size, say), folder=folder, say=say)
    height, width = content.train.images.shape[2:]
    augmentation = Augmentation(pad=min(height, width) // 8, flip=source.flip)
    return image_data(name, content.train, content.test, content.classes, augmentation=augmentation)


def _decoded(name: str, source: DataSet, image_size: int | None, say: Say) -> DecodedSet:
    content = source.read()
    if isinstance(content, EncodedSet):
        return decode(content, image_size=image_size, say=say)
    if image_size is not None:
        raise WinsomeError(f"{name} comes decoded and cannot be resized; leave image_size out")
    return content


def _high_byte(read: Callable[[], EncodedSet | DecodedSet]) -> EncodedSet | DecodedSet:
    """What is read, grey images of 16 bits by their high byte."""
    content = read()
    if isinstance(content, DecodedSet):
        return content
    return replace(content, train=replace(content.train, high_byte=True), test=replace(content.test, high_byte=True))


def _load_stored(
    name: str, source: DataSet, image_size: int | None, on_corrupt: OnCorrupt, folder: Path, say: Say
) -> ImageData:
    spec = StoreSpec() if image_size is None else StoreSpec.for_images_of(image_size)

    def read() -> EncodedSet:
        content = source.read()
        assert isinstance(content, EncodedSet)
        return content

    train, test, classes = image_store(name, source.key, read, spec, folder=folder, on_corrupt=on_corrupt, say=say)
    return image_data(name, train, test, classes, augmentation=Augmentation(flip=source.flip, crop=ResizedCrop()))


def _source(name_or_folder: str, data_dir: Path | None, config: str | None, say: Say) -> DataSet:
    """What to read: a folder where one is given, else the named set."""
    named = DATA_SETS.get(name_or_folder)
    if is_own(name_or_folder):
        if data_dir is not None or config is not None:
            raise WinsomeError(f"{name_or_folder} reads what it reads itself; leave data_dir (--data-dir) and config out")
        return own_set(name_or_folder)
    if data_dir is not None:
        if named is None:
            raise _unknown(name_or_folder)
        if named.key == "digits":
            raise WinsomeError("digits comes with scikit-learn and is read from no folder; leave data_dir (--data-dir) out")
        folder = data_dir.expanduser()
        return large_folder(folder, config, say) if named.stored else in_folder(folder, config, say, flip=named.flip)
    if named is not None:
        if config is not None:
            raise WinsomeError(f"{name_or_folder} has no configurations; config (--config) is for folders")
        return named
    folder = Path(name_or_folder).expanduser()
    if not folder.is_dir():
        if len(folder.parts) > 1:
            raise WinsomeError(f"no folder {folder}; give one with train*.parquet and test*.parquet, or with images by class")
        raise _unknown(name_or_folder)
    return in_folder(folder, config, say)


def _unknown(name: str) -> WinsomeError:
    return WinsomeError(
        f"{unknown('data set', name, DATA_SETS)} (a data set of your own: the path of its folder, or FILE.py:NAME)"
    )


DATA_SETS: dict[str, DataSet] = {
    "digits": DataSet(
        "1,797 handwritten digits, 8x8 grey, 10 classes; embedded",
        "digits",
        read_digits,
        flip=False,
        citations=("alpaydin1998digits",),
        image_shape=(1, 8, 8),
        n_classes=10,
        train_images=1297,
        test_images=500,
    ),
    "cifar10": on_hub(
        "uoft-cs/cifar10",
        "60,000 photographs, 32x32 colour, 10 classes",
        citations=("krizhevsky2009learning",),
        image_shape=(3, 32, 32),
        n_classes=10,
        train_images=50_000,
        test_images=10_000,
    ),
    "cifar100": on_hub(
        "uoft-cs/cifar100",
        "60,000 photographs, 32x32 colour, 100 classes",
        citations=("krizhevsky2009learning",),
        image_shape=(3, 32, 32),
        n_classes=100,
        train_images=50_000,
        test_images=10_000,
    ),
    "tiny_imagenet": on_hub(
        "zh-plus/tiny-imagenet",
        "110,000 photographs, 64x64 colour, 200 classes",
        citations=("le2015tiny",),
        image_shape=(3, 64, 64),
        n_classes=200,
        train_images=100_000,
        test_images=10_000,
    ),
    "imagenet": DataSet(
        "1,331,167 photographs, 1,000 classes (ILSVRC 2012); stored on disk as 256x256 colour",
        f"hub {IMAGENET}",
        partial(read_large_hub, IMAGENET),
        stored=True,
        citations=("russakovsky2015imagenet",),
        image_shape=(3, StoreSpec().image_size, StoreSpec().image_size),
        n_classes=1000,
        train_images=1_281_167,
        test_images=50_000,
    ),
}
