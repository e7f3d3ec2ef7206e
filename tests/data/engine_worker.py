"""A worker in a process of its own: asks a source so often, and prints what came of it as JSON.

Run by the tests as a program: `engine_worker.py <warehouse url> <lake folder> <declaration as JSON> <times>`.
"""

import json
import sys

from pennant.data.asking.engine import Asking, retrieve
from pennant.data.errors import SourceDown
from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.reference import Window
from pennant.settings import Settings
from pennant.warehouse.engine import connect


def main(warehouse: str, folder: str, declaration: str, window: str, times: str) -> None:
    use_case = UseCase.model_validate_json(declaration)
    place = Asking(Lake(folder), connect(warehouse), Settings())
    outcomes = []
    for _ in range(int(times)):
        try:
            answers = retrieve(use_case, "games", Window.from_key(window), place)
            outcomes.append(["answered", answers[0].provider])
        except SourceDown as error:
            outcomes.append([type(error).__name__, error.found])
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(*sys.argv[1:])
