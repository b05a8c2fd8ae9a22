"""Opening a bundle: a folder, or one `.frt` zip file, whose every byte is accounted for before anything is loaded."""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError

from fundusrt.certificate import Certificate, check_certificate
from fundusrt.errors import BundleError, InvalidInput
from fundusrt.manifest import FORMAT_VERSION, AnyManifest, VariantSpec, first_problem, parse_manifest_json
from fundusrt.onnx_file import refuse_external_data
from fundusrt.onnx_weights import inline_weights

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["MANIFEST_FILE", "Bundle", "shipped_bundles"]

MANIFEST_FILE = "bundle.json"
_MAX_MANIFEST_BYTES = 4 * 1024 * 1024
_MAX_BUNDLE_BYTES = 2**31  # an ONNX file cannot be larger; a manifest that claims more is a trap for the memory
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others decompress without a bound
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
# What zipfile raises for damaged files, beside OSError, ValueError and EOFError.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, IndexError, OverflowError)


class _Storage(Protocol):
    def read(self, name: str, limit: int) -> bytes:
        """Return the file's bytes; FileNotFoundError if it is absent, ValueError if it is larger than `limit`."""
        ...


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. Make one with `open`.

    Attributes:
        source: the path or shipped name it was opened from.
        manifest: what `bundle.json` says.
        certificate: the measured parity ladder; it holds.
        sha256: identity of the bundle: the hash of `bundle.json`, which holds the hash of every other file.
        contents: every recorded file by name.
    """

    source: str
    manifest: AnyManifest
    certificate: Certificate
    sha256: str
    contents: dict[str, bytes]

    @classmethod
    def open(cls, name_or_path: str | Path) -> Bundle:
        """Open and verify a bundle.

        Args:
            name_or_path: the name of a shipped bundle (`leakage`), a folder, or a `.frt` file.

        Raises:
            InvalidInput: neither text nor a path.
            BundleError: not found, a file missing, changed, unsafe name, external ONNX data, malformed manifest.
            CertificateError: the certificate is missing, does not hold, or is for other files.
        """
        if not isinstance(name_or_path, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(
                "bundle",
                got=type(name_or_path).__name__,
                expected="a shipped name, a bundle folder or a .frt file",
                fix="pass text or a path, such as 'leakage'",
            )
        path = _locate(name_or_path)
        source = str(name_or_path)
        storage = _Folder(path) if path.is_dir() else _Zip(path, source)
        content = _read(storage, MANIFEST_FILE, _MAX_MANIFEST_BYTES, source)
        manifest = _parse_manifest(content, source)
        contents = {name: _verified(storage, name, manifest, source) for name in sorted(manifest.files)}
        certificate = check_certificate(contents[manifest.certificate], manifest, source)
        bundle = cls(source, manifest, certificate, hashlib.sha256(content).hexdigest(), contents)
        for variant in {(each.file, each.weights): each for each in manifest.variants()}.values():
            bundle.network_bytes(variant)
        return bundle

    def read_bytes(self, name: str) -> bytes:
        """Return one recorded file.

        Raises:
            BundleError: the manifest does not record it.
        """
        if name not in self.contents:
            raise BundleError(
                f"{self.source}, {name}",
                got="no such file",
                expected="a file the manifest records",
                fix="see Bundle.contents for the names",
            )
        return self.contents[name]

    def network_bytes(self, variant: VariantSpec) -> bytes:
        """Return one variant of a network as a self-contained ONNX file, whatever lies in the bundle.

        Raises:
            BundleError: the manifest does not record it, or a tensor's data lies anywhere but in the file or in the
                variant's own weights.
        """
        content, subject = self.read_bytes(variant.file), f"{self.source}, {variant.file}"
        if variant.weights is None:
            refuse_external_data(content, subject)
            return content
        return inline_weights(content, variant.weights.rpartition("/")[2], self.read_bytes(variant.weights), subject)

    def read_array(self, name: str) -> npt.NDArray[Any]:
        """Return one recorded `.npy` or single-array `.npz` file as an array; pickled objects are refused.

        Raises:
            BundleError: not recorded, or no plain array.
        """
        import io

        import numpy as np

        content = self.read_bytes(name)
        try:
            loaded: Any = np.load(io.BytesIO(content), allow_pickle=False)
            archive: Any = getattr(loaded, "zip", None)
            if archive is not None:
                _refuse_larger(sum(info.file_size for info in archive.infolist()), _MAX_BUNDLE_BYTES)
                (only,) = loaded.files
                loaded = loaded[only]
            return np.asarray(loaded)
        except Exception as error:  # NumPy passes on what its zip reader and its header parser raise, a dozen types
            raise BundleError(
                f"{self.source}, {name}",
                got=str(error),
                expected="one plain NumPy array",
                fix="export the bundle again",
            ) from error

    def read_image(self, name: str) -> npt.NDArray[np.uint8]:
        """Return one recorded 8-bit PNG as (H, W) or (H, W, 3) RGB uint8.

        Raises:
            BundleError: not recorded, or no image.
        """
        import cv2
        import numpy as np

        try:
            decoded = cv2.imdecode(np.frombuffer(self.read_bytes(name), np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:  # no bytes at all, or more pixels than OpenCV decodes
            decoded = None
        if decoded is None or decoded.dtype != np.uint8:
            raise BundleError(
                f"{self.source}, {name}", got="no 8-bit image", expected="a PNG file", fix="export the bundle again"
            )
        return np.asarray(decoded if decoded.ndim == 2 else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def shipped_bundles() -> dict[str, Path]:
    """Return the bundles inside the package, by name."""
    root = Path(str(resources.files("fundusrt") / "models"))
    if not root.is_dir():
        return {}
    return {path.name: path for path in sorted(root.iterdir()) if (path / MANIFEST_FILE).is_file()}


def _locate(name_or_path: str | Path) -> Path:
    shipped = shipped_bundles()
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and name_or_path in shipped:
        if (path / MANIFEST_FILE).is_file():
            raise BundleError(
                f"bundle {name_or_path!r}",
                got="the name of a shipped bundle and of a bundle in this folder",
                expected="one meaning",
                fix=f"write ./{name_or_path} for the one in this folder, or run elsewhere for the shipped one",
            )
        return shipped[name_or_path]
    try:
        usable = path.is_dir() or path.is_file()
        got = "neither a file nor a folder" if path.exists() else "no such file or folder"
    except OSError as error:  # a name that is too long, a folder that may not be entered
        usable, got = False, error.strerror or str(error)
    if not usable:
        raise BundleError(
            f"bundle {str(name_or_path)!r}",
            got=got,
            expected=f"a bundle folder, a .frt file, or a shipped name ({', '.join(shipped) or 'none shipped'})",
            fix="check the path, or name a shipped bundle",
        )
    return path


def _parse_manifest(content: bytes, source: str) -> AnyManifest:
    try:
        manifest = parse_manifest_json(content)
    except ValidationError as error:
        place, text = first_problem(error)
        raise BundleError(
            f"{source}, {MANIFEST_FILE}, {place}",
            got=text,
            expected=f"a manifest of format version {FORMAT_VERSION}",
            fix="update fundusrt, or export the bundle again with this version",
        ) from error
    for name in (*manifest.files, *manifest.named_files()):
        if not _SAFE_NAME.fullmatch(name):
            raise BundleError(
                f"{source}, {MANIFEST_FILE}, file name {name!r}",
                got="an absolute path, '..' or an unusual character",
                expected="a plain relative name of letters, digits and ._-/",
                fix="do not use this bundle",
            )
    total = sum(record.bytes for record in manifest.files.values())
    if total > _MAX_BUNDLE_BYTES:
        raise BundleError(
            f"{source}, {MANIFEST_FILE}, files",
            got=f"{total} bytes in all",
            expected=f"at most {_MAX_BUNDLE_BYTES}",
            fix="do not use this bundle",
        )
    return manifest


def _read(storage: _Storage, name: str, limit: int, source: str) -> bytes:
    try:
        return storage.read(name, limit)
    except FileNotFoundError as error:
        raise BundleError(
            f"{source}, {name}", got="no such file", expected="a complete bundle", fix="copy or export it again"
        ) from error
    except (OSError, ValueError, EOFError, *_ZIP_ERRORS) as error:
        raise BundleError(
            f"{source}, {name}", got=str(error), expected="a readable file", fix="copy or export the bundle again"
        ) from error


def _verified(storage: _Storage, name: str, manifest: AnyManifest, source: str) -> bytes:
    record = manifest.files[name]
    content = _read(storage, name, record.bytes, source)
    digest = hashlib.sha256(content).hexdigest()
    if digest != record.sha256 or len(content) != record.bytes:
        raise BundleError(
            f"{source}, {name}",
            got=f"sha256 {digest[:12]}…, {len(content)} bytes",
            expected=f"sha256 {record.sha256[:12]}…, {record.bytes} bytes",
            fix="the file was changed or damaged; copy or export the bundle again",
        )
    return content


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def read(self, name: str, limit: int) -> bytes:
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root):
            raise ValueError("a link that leads out of the bundle")
        if path.exists() and not path.is_file():
            raise ValueError("a folder, a pipe or a device")
        _refuse_larger(path.stat().st_size, limit)
        return path.read_bytes()


class _Zip:
    def __init__(self, path: Path, source: str) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, ValueError, EOFError, *_ZIP_ERRORS) as error:
            raise BundleError(
                source, got=str(error), expected="a bundle folder or a .frt (zip) file", fix="copy or export it again"
            ) from error
        names = self._zip.namelist()
        if len(names) != len(set(names)):
            raise BundleError(source, got="a file stored twice", expected="each file once", fix="export it again")
        for name in names:
            if not _SAFE_NAME.fullmatch(name.removesuffix("/")):
                raise BundleError(
                    f"{source}, file name {name!r}",
                    got="an absolute path, '..' or an unusual character",
                    expected="a plain relative name of letters, digits and ._-/",
                    fix="do not use this bundle",
                )

    def read(self, name: str, limit: int) -> bytes:
        try:
            info = self._zip.getinfo(name)
        except KeyError:
            raise FileNotFoundError(name) from None
        _refuse_larger(info.file_size, limit)
        if info.compress_type not in _ZIP_METHODS:
            raise ValueError(f"compression method {info.compress_type}; stored or deflated was expected")
        with self._zip.open(info) as member:
            # Bounded: the recorded size may be a lie, and one unbounded read inflates everything there is.
            content = member.read(limit + 1)
        _refuse_larger(len(content), limit)
        return content


def _refuse_larger(size: int, limit: int) -> None:
    """Refuse a file that is larger than it may be, before it is read."""
    if size > limit:
        raise ValueError(f"{size} bytes; at most {limit} were expected")
