"""The server's side: wait for the study's nodes, then train by asking them, step after step."""

from collections.abc import Callable

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedhealth.federation import Exchange
from fedhealth.privacy import is_summed_under_masks
from fedhealth.runtime.events import Watch, unwatched
from fedhealth.runtime.federation import Federation
from fedhealth.runtime.flower.participants import Participants, Patience
from fedhealth.runtime.flower.wire import Introduction
from fedhealth.runtime.secure import SecureExchange
from fedhealth.study import Study

PATIENT = Patience()


def server_app(
    study: Study,
    seed: int,
    train: Callable[[Federation], None],
    patience: Patience = PATIENT,
    watch: Watch = unwatched,
    run: str = "",
    check: Callable[[int, Introduction], None] = lambda node_id, introduction: None,
) -> ServerApp:
    """A ServerApp that gathers the nodes of ``study``, calls ``train``, and tells the nodes how it ended.

    Args:
        study: what is trained; a node with another one refuses, and the run ends.
        seed: of every node's split into training and held-out rows.
        train: does the training through the federation's exchange.
        patience: deadlines, and how many nodes are enough.
        watch: told who comes, is lost, comes back and is refused, and of every step.
        run: names the run to the nodes: asked the same again by the same run, they answer the same.
        check: raises FlowerError where a node, by its number at the SuperLink, is not who it says.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        participants = Participants(grid, study, seed, run, patience, watch, check)
        ending = "the server stopped before the end"
        try:
            participants.gather()
            exchange: Exchange = participants.contributions
            if is_summed_under_masks(study):
                roster = {name: one.public_key for name, one in participants.introductions.items()}
                exchange = SecureExchange(
                    study, seed, exchange, participants.bodies, roster, run, participants.enough, watch
                )
            synthetic = tuple(name for name, one in participants.introductions.items() if one.synthetic)
            policies = {name: one.policy for name, one in participants.introductions.items()}
            train(Federation(exchange, synthetic, policies))
            ending = "the run is finished"
        except Exception as error:
            ending = f"the run ended early: {error}"
            raise
        finally:
            participants.dismiss(ending)

    return app
