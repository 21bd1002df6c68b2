"""What the manifest of a place has about earlier runs of a batch: what is done, and with which configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from eolearn.core import EONode, EOWorkflow

from eotasks.errors import ConfigurationError, PlaceInUseWarning, StorageError, warn_caller
from eotasks.storage.place import Place
from eotasks.storage.process import ProcessIdentity
from eotasks.workflows.batch.fingerprints import fingerprint, settings_of, settings_of_workflow
from eotasks.workflows.batch.manifest import Event, iter_events
from eotasks.workflows.batch.outcomes import PatchOutcome, step_names
from eotasks.workflows.batch.progress import add_to_last_run, run_state
from eotasks.workflows.settings import changed_keys, in_words

LOGGER = logging.getLogger(__name__)

Patches = Mapping[str, Mapping[EONode, Mapping[str, object]]]
"""Arguments of the nodes' execute for each patch, by its name."""

_MOST_RUNS = 1 << 53
"""Above any number of runs; what a damaged manifest says beyond is none."""


class History:
    """Earlier runs of a stage, and the fingerprints of this one.

    :param place: Where the manifest is; None has no history.
    :param patches: Arguments of the nodes for each patch, by its name.
    :param configuration: What results depend on; None takes what the steps of the workflow were made with.
    :raises StorageError: when the manifest cannot be read, or is of a newer version.
    """

    def __init__(
        self,
        place: Place | None,
        stage: str,
        workflow: EOWorkflow,
        patches: Patches,
        *,
        configuration: Mapping[str, Any] | None,
    ) -> None:
        self.place = place
        self.stage = stage
        self.asked = configuration is not None
        """Whether the configuration was given by the caller."""
        self.settings: dict[str, str] = {}
        """Fingerprints of the configuration by key; empty without a place."""
        self.fingerprints: dict[str, str] = {}
        """Of each patch: of its arguments and the configuration; empty without a place."""
        self._steps = step_names(workflow)
        self.sequence = 1
        """Greater than that of every run before, of any stage."""
        self._last_run: list[Event] = []
        self._last_outcomes: dict[str, Event] = {}
        """The last of each patch; one of being skipped afterwards has nothing new."""
        self._before: Mapping[str, Any] | None = None
        """Facts of the last run."""
        if place is not None:
            self.settings = settings_of_workflow(workflow) if configuration is None else settings_of(configuration)
            self.fingerprints = {name: self._fingerprint(arguments) for name, arguments in patches.items()}
            for event in iter_events(place):
                self._take(event)

    def _take(self, event: Event) -> None:
        sequence = event.facts.get("sequence")
        if event.kind == "batch" and isinstance(sequence, int) and 0 <= sequence < _MOST_RUNS:
            self.sequence = max(self.sequence, sequence + 1)
        if event.stage != self.stage:
            return
        add_to_last_run(self._last_run, event)
        if event.kind == "batch":
            self._before = event.facts
        elif event.name is not None and event.outcome is not None and event.outcome.state != "skipped":
            self._last_outcomes[event.name] = event
        elif event.kind == "running" and event.name is not None:
            before = self._last_outcomes.get(event.name)
            if before is not None and before.outcome is not None and before.outcome.state == "done":
                del self._last_outcomes[event.name]  # made anew, and nobody knows how far: its run may have been killed

    def check_configuration(self) -> None:
        """Refuses another configuration than the one that the results in this place were made with.

        Where nobody gave one, other settings of the steps are logged.

        :raises ConfigurationError: names the keys that changed.
        """
        before = self._before
        if before is None or bool(before.get("asked")) != self.asked:
            return
        settings = before.get("settings")
        changed = changed_keys(settings if isinstance(settings, Mapping) else {}, self.settings)
        if not changed:
            return
        named = in_words(changed)
        if self.asked:
            raise ConfigurationError(
                f"{self.place}: batch {self.stage!r} was run with another configuration ({named} changed): choose"
                " another place, or overwrite what is there with overwrite=True."
            )
        LOGGER.info("Batch %r was run with other settings before: %s changed.", self.stage, named)

    def warn_of_another_run(self) -> None:
        """Warns of a run that the manifest has and the lease of the place has not.

        It has the lease of a place around this one, or it is on another machine and its lease has run out. Two runs at
        once do the same work twice; saves are atomic, so that is all the harm.
        """
        run = self._last_run
        process = ProcessIdentity.parse(run[0].facts.get("process")) if run else None
        if process is None or process.is_current or run_state(run) != "running":
            return
        warn_caller(
            f"Batch {self.stage!r} in {self.place} seems to be running already (process {process.pid} on"
            f" {process.host}): what both do is done twice.",
            PlaceInUseWarning,
        )

    def known(
        self, patches: Patches, *, skip: Callable[[str], bool] | None, retry_quarantined: bool
    ) -> dict[str, PatchOutcome]:
        """Outcomes of the patches for which nothing has to run, in their order."""
        known = {}
        for name in patches:
            event = self._last_outcomes.get(name)
            before = event.outcome if event is not None and self._is_same(event, name) else None
            state = before.state if before is not None else None
            if _is_skipped(name, skip) if skip is not None else state == "done":
                known[name] = PatchOutcome(name, "skipped", attempts=0)
            elif before is not None and state == "quarantined" and not retry_quarantined:
                known[name] = PatchOutcome(
                    name, "quarantined", attempts=0, error_step=before.error_step, error=before.error
                )
        return known

    def _is_same(self, event: Event, name: str) -> bool:
        return event.facts.get("fingerprint") == self.fingerprints[name]

    def _fingerprint(self, arguments: Mapping[EONode, Mapping[str, object]]) -> str:
        by_step = {self._steps.get(node.uid, node.uid): dict(kwargs) for node, kwargs in arguments.items()}
        return fingerprint((self.settings, by_step))


def _is_skipped(name: str, skip: Callable[[str], bool]) -> bool:
    """Whether a patch is complete; one of which that cannot be read, such as a damaged marker, is made anew."""
    try:
        return skip(name)
    except StorageError as error:
        LOGGER.warning("%s Patch %s is made anew.", error, name)
        return False
