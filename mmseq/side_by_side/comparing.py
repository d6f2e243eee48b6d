"""Train every backbone with every seed, and put what came of it into one table and one picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseq.engine.seeds import run_seeds
from mmseq.errors import InputError
from mmseq.side_by_side.candidates import Candidate
from mmseq.side_by_side.costs import sizes, speeds
from mmseq.side_by_side.plot import plot
from mmseq.side_by_side.recipe import check_recipe, write_config
from mmseq.side_by_side.table import NAME, Row, row_of, write_table


@dataclass(frozen=True)
class Comparison:
    """What is the same for all backbones.

    Args:
        head: a name of ``mmseq.side_by_side.recipe.HEADS``.
        config: whose backbone is replaced.
        folder: gets the configs, a folder of seeds per backbone, and the results.
        seeds: of each backbone.
        processes: of each training.
        options: further ones of ``mmseq train``.
        device: of the inference that is timed.
        said: is told of progress.
    """

    head: str
    config: str
    folder: Path
    seeds: Sequence[int]
    processes: int
    options: Sequence[str]
    device: str
    said: Callable[[str], object]

    def run(self, candidates: Sequence[Candidate]) -> list[Row]:
        """Train what is not trained yet, measure, and write the results; gives the rows, failed trainings' too.

        Raises:
            InputError: before any training, a config without the head, or a folder of another comparison.
        """
        check_recipe(self.config, self.head)
        configs = [write_config(one, self.head, self.config, self.folder / 'configs') for one in candidates]
        failed: dict[str, str] = {}
        for number, (one, config) in enumerate(zip(candidates, configs), 1):
            self.said(f'{one.name}: {number} of {len(candidates)}, {len(self.seeds)} seeds')
            try:
                run_seeds(str(config), self.seeds, self.folder / one.label, self.processes, self.options)
            except InputError as error:
                # Told at the end, and by the exit status: the others are not to wait for it.
                failed[one.name] = str(error)
                self.said(f'{one.name}: {error}')
        return self.results(candidates, failed)

    def results(self, candidates: Sequence[Candidate], failed: dict[str, str]) -> list[Row]:
        """Measure the trained models, and write table and picture."""
        trained = [one for one in candidates if one.name not in failed]
        first = {one.name: self.folder / one.label / f'seed_{self.seeds[0]}' for one in trained}
        costs = {name: sizes(run, self.device) for name, run in first.items()}
        timed = speeds(first, self.device, self.folder / 'speed.json', self.said) if first else {}
        rows: list[Row] = [row_of(one, self.folder / one.label, costs[one.name], timed[one.name]) for one in trained]
        if rows:
            seeds = f'{len(self.seeds)} seed{"s" * (len(self.seeds) > 1)}'
            title = f'{self.head}, {rows[0]["height"]} x {rows[0]["width"]} px, {seeds}'
            plot(rows, title, self.folder / f'{NAME}.png')
        lost: list[Row] = [dict(backbone=name, weights='-', failed=reason) for name, reason in failed.items()]
        about: dict[str, Any] = dict(head=self.head, config=self.config, options=list(self.options))
        write_table(self.folder, about, rows + lost)
        return rows + lost
