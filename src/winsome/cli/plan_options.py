"""Which weights a search prunes and what it takes for normalisation: options for what the plan shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import UseAppendAction, arg

from winsome.errors import WinsomeError

if TYPE_CHECKING:  # help knows every option before torch is imported
    from winsome.method import Method

Unset = arg(help_behavior_hint="")  # no default is shown


@dataclass(frozen=True)
class PlanOptions:
    """What is pruned and what is normalisation, where it is not what is found.

    Attributes:
        prune_classifier: Prune the classifier too, as arXiv:2402.19262 does.
        classifier: An output layer, which stays dense, by its name in the network, instead of those found; may be given
            several times.
        norms: Parameters or layers that the method takes for normalisation, a name or a pattern such as "*.gamma", instead of
            all norms that are found, or beside them ("found"); may be given several times.
        plan_only: Print which weights would be pruned and which parameters are normalisation (psi), and stop.
    """

    prune_classifier: bool = False
    classifier: Annotated[UseAppendAction[tuple[str, ...]], Unset] = ()
    norms: Annotated[UseAppendAction[tuple[str, ...]], Unset] = ()
    plan_only: bool = False

    def of(self, method: Method) -> Method:
        """The method, on these parameters.

        Raises:
            WinsomeError: nothing in it looks at --norms.
        """
        from winsome.norm_choice import asks_for_norms, with_norms

        if self.norms and not asks_for_norms(method):
            raise WinsomeError(
                f"--norms says what a method takes for normalisation, and no part of {method.label or 'this one'} asks for it, "
                "as aws, --while-training interpolated_norms and --rewind-norms do; leave it out"
            )
        return with_norms(method, self.norms) if self.norms else method


AS_FOUND = PlanOptions()
