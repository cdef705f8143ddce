"""What the methods of continual learning minimise, which gradients they heed, and what they hold fast."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lossbook.datasets import Stream
from lossbook.losses import cross_entropy
from lossbook.teacher_logits import teacher_statistics
from lossbook.training import Batch, ElasticWeights, Projection, SynapticIntelligence, fisher_diagonal

Examples = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Method:
    """What is minimised, how a step is taken, and what is held fast.

    `memory`: "none", "replay" (batches of old examples weigh as much as they would in the joint loss) or "all" (every
    example of every task at every step: the joint loss itself). `projection`: "none", "mean" (A-GEM) or "each" (GEM).
    `held`: "nothing", "weights by Fisher" (EWC), "weights by path" (SI), "answers" (LwF).
    """

    memory: str = "none"
    projection: str = "none"
    held: str = "nothing"


METHODS = {
    "finetune": Method(),
    "replay": Method(memory="replay"),
    "joint": Method(memory="all"),
    "A-GEM": Method(projection="mean"),
    "GEM": Method(projection="each"),
    "replay + A-GEM": Method(memory="replay", projection="mean"),
    "replay + GEM": Method(memory="replay", projection="each"),
    "joint + A-GEM": Method(memory="all", projection="mean"),
    "EWC": Method(held="weights by Fisher"),
    "SI": Method(held="weights by path"),
    "LwF": Method(held="answers"),
}


def losses_of(model: nn.Module, tasks: Stream, parts: list[tuple[int, Examples]]) -> list[Tensor]:
    """Of each part (task, examples) the mean cross-entropy, summed over members."""
    sizes = [labels.shape[1] for _, (_, labels) in parts]
    logits = model(torch.cat([features for _, (features, _) in parts], 1), own=True)
    labels = torch.cat([labels for _, (_, labels) in parts], 1).T
    answers = [tasks.answers[task] for task, _ in parts]
    if len(set(answers)) == 1:
        each = _of_examples(logits, labels, answers[0]).split(sizes)
    else:
        each = tuple(map(_of_examples, logits.split(sizes), labels.split(sizes), answers))
    return [loss.mean(0).sum() for loss in each]


def _of_examples(logits: Tensor, labels: Tensor, answers: tuple[int, ...]) -> Tensor:
    chosen = logits[..., answers[0] : answers[-1] + 1]  # classes of a task follow each other
    return cross_entropy(chosen, labels - answers[0], reduction="none")


def objective(method: Method, tasks: Stream, held: "Held", model: nn.Module, batch: Batch) -> Tensor:
    """The new task's loss, or the joint one: each task's mean, all with one weight."""
    task = len(batch.old)
    parts = [(task, (batch.features, batch.labels))]
    if method.memory != "none":
        parts += list(enumerate(batch.old))
    losses = losses_of(model, tasks, parts)
    return torch.stack(losses).mean() + held.penalty(model, batch, task)


def references(method: Method, tasks: Stream, model: nn.Module, batch: Batch) -> list[Tensor]:
    """The losses that a projected step must not raise: of all old tasks together, or of each."""
    if method.projection == "none" or not batch.old:
        return []
    losses = losses_of(model, tasks, list(enumerate(batch.old)))
    return losses if method.projection == "each" else [torch.stack(losses).mean()]


class Held:
    """What a method holds fast of the tasks before: weights, or answers."""

    def __init__(
        self,
        method: Method,
        tasks: Stream,
        *,
        ewc_strength: float = 0.0,
        si_strength: float = 0.0,
        distillation: float = 0.0,
        temperature: float = 1.0,
        fisher_examples: int = 1,
    ):
        self._tasks, self._kind = tasks, method.held
        self._elastic, self._path = ElasticWeights(ewc_strength), SynapticIntelligence(si_strength)
        self._distillation, self._temperature, self._examples = distillation, temperature, fisher_examples
        self._teacher: nn.Module | None = None

    def noting(self, projection: Projection) -> Callable[[nn.Module, Batch], None]:
        """The transform of a step."""
        return self._path if self._kind == "weights by path" else projection

    def penalty(self, model: nn.Module, batch: Batch, task: int) -> Tensor | float:
        if self._kind == "weights by Fisher":
            return self._elastic.penalty(model)
        if self._kind == "weights by path":
            return self._path.penalty(model)
        return self._distance(model, batch, task) if self._kind == "answers" and task else 0.0

    def consolidate(self, model: nn.Module, features: Tensor, task: int) -> None:
        """At the end of a task."""
        if self._kind == "weights by Fisher":
            chosen = features[:, : self._examples]
            self._elastic.consolidate(
                model, fisher_diagonal(model, chosen, answers=self._tasks.answers[task], own=True)
            )
        elif self._kind == "weights by path":
            self._path.consolidate(model)
        elif self._kind == "answers":
            self._teacher = deepcopy(model)

    def _distance(self, model: nn.Module, batch: Batch, task: int) -> Tensor:
        """LwF: T² KL(old answers ‖ new answers) on the new examples, over the outputs that the old tasks used."""
        with torch.no_grad():
            teacher = self._teacher(batch.features, own=True)  # type: ignore[misc]  # there from the second task on
        student = model(batch.features, own=True)
        total = torch.zeros(())
        for first, last in self._old_outputs(task):
            sides = student[..., first:last], teacher[..., first:last]
            kl = teacher_statistics(*sides, ("kl",), temperature=self._temperature).kl
            total = total + self._temperature**2 * kl.mean(0).sum()
        return self._distillation * total

    def _old_outputs(self, task: int) -> list[tuple[int, int]]:
        tasks = self._tasks
        if tasks.scenario == "task":
            return [(answers[0], answers[-1] + 1) for answers in tasks.answers[:task]]
        return [(0, tasks.outputs if tasks.scenario == "domain" else task * tasks.outputs // len(tasks.tasks))]
