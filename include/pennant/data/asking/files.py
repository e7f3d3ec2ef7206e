"""Tables in files and object storage, by fsspec."""

import fsspec

from pennant.data.asking.archives import MAX_BYTES
from pennant.data.asking.http import Again, Refused

_PASSING = (TimeoutError, ConnectionError, InterruptedError)


def content_of(address: str) -> bytes:
    """The bytes of a file, or one more than `MAX_BYTES` of them.

    Raises:
        Again: the storage does not answer now.
        Refused: there is no such file, or it may not be read.
    """
    try:
        with fsspec.open(address, "rb") as file:
            content: bytes = file.read(MAX_BYTES + 1)
    except _PASSING as error:
        raise Again(f"{type(error).__name__}: {error}") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Refused(f"{type(error).__name__}: {error}", gone=True) from error
    except Exception as error:  # storage libraries have errors of their own, with no common base
        raise Refused(f"{type(error).__name__}: {error}") from error
    return content
