"""All doors, by name."""

from collections.abc import Mapping

from tests.edge_agent.fuzz.documents import DOCUMENTS
from tests.edge_agent.fuzz.files import FILES
from tests.edge_agent.fuzz.fuzzing import Door
from tests.edge_agent.fuzz.live import LIVE
from tests.edge_agent.fuzz.neighbours import NEIGHBOURS
from tests.edge_agent.fuzz.sockets import SOCKETS

DOORS: Mapping[str, Door] = {door.name: door for door in (*DOCUMENTS, *FILES, *SOCKETS, *NEIGHBOURS, *LIVE)}
