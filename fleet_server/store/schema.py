"""Tables of the server; moments are seconds since 1970, documents are JSON as text, signed documents are bytes as received."""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

facts = Table(
    "facts",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("device", String, primary_key=True),
    Column("hardware_class", String, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("verifier", String, nullable=False),
    Column("enrolled_at", Float, nullable=False),
    Column("revoked", Boolean, nullable=False, server_default=false()),
    Column("agent_version", String, nullable=False, server_default=""),
    Column("desired_revision", Integer, nullable=False, server_default="0"),
)

presence = Table(
    "presence",
    metadata,
    Column("device", String, ForeignKey("devices.device"), primary_key=True),
    Column("presence", String, nullable=False),
    Column("session", Integer, nullable=False, server_default="0"),
    Column("boot_id", String, nullable=False, server_default=""),
    Column("last_seen_at", Float),
    Column("latency_p95_ms", Float),  # of the last window
    Column("latency_mean_ms", Float),
)

reported = Table(
    "reported",
    metadata,
    Column("device", String, ForeignKey("devices.device"), primary_key=True),
    Column("body", Text, nullable=False),
    Column("received_at", Float, nullable=False),
)

health = Table(
    "health",
    metadata,
    Column("device", String, ForeignKey("devices.device"), primary_key=True),
    Column("body", Text, nullable=False),
    Column("received_at", Float, nullable=False),
)

claims = Table(
    "claims",
    metadata,
    Column("claim_id", String, primary_key=True),
    Column("secret_sha256", String, nullable=False),
    Column("device", String, nullable=False),
    Column("hardware_class", String, nullable=False, server_default=""),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("sha256", String, primary_key=True),
    Column("size_bytes", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
)

tuf_metadata = Table(
    "tuf_metadata",
    metadata,
    Column("role", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("stored_at", Float, nullable=False),
    PrimaryKeyConstraint("role", "version"),
)

tuf_targets = Table(
    "tuf_targets",
    metadata,
    Column("path", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("size_bytes", Integer, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("model", String, primary_key=True),
    Column("registered_at", Float, nullable=False),
    Column("min_version", Integer, nullable=False, server_default="1"),
    Column("acceptance", Text),
)

versions = Table(
    "versions",
    metadata,
    Column("model", String, ForeignKey("models.model"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String, nullable=False),
    Column("manifest_bytes", Integer, nullable=False),
    Column("published_at", Float, nullable=False),
    Column("task", String, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("variants", Text, nullable=False),
    Column("lineage", Text, nullable=False),
    Column("withdrawn", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("model", "version"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("model", String, ForeignKey("models.model"), nullable=False),
    Column("alias", String, nullable=False),
    Column("version", Integer, nullable=False),
    PrimaryKeyConstraint("model", "alias"),
)

applications = Table(
    "applications",
    metadata,
    Column("application", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("model", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("published_at", Float, nullable=False),
    Column("withdrawn", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("application", "version"),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("rollout", String, nullable=False, unique=True),
    Column("spec", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("state_reason", Text, nullable=False, server_default=""),
    Column("revision", Integer, nullable=False),
    Column("phase", Integer, nullable=False),
    Column("phase_started_at", Float),
    Column("phase_ends_at", Float),
    Column("rollback_started_at", Float),
    Column("salt", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("gates", Text, nullable=False, server_default="[]"),
    Column("verdict", Text),
)

assignments = Table(
    "assignments",
    metadata,
    Column("rollout", String, ForeignKey("rollouts.rollout"), nullable=False),
    Column("device", String, ForeignKey("devices.device"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("arm", String, nullable=False),
    Column("phase", Integer, nullable=False),
    Column("wanted_digest", String, nullable=False),
    Column("previous", Text),  # DesiredSlot before the rollout; null where there was none
    Column("revision", Integer, nullable=False, server_default="0"),  # desired revision; 0: not exposed yet
    Column("exposed_at", Float),
    Column("deadline_at", Float),
    Column("started", Boolean, nullable=False, server_default=false()),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("state", String),
    Column("settled", Boolean, nullable=False, server_default=false()),
    Column("failed", Boolean, nullable=False, server_default=false()),
    Column("version_fault", Boolean, nullable=False, server_default=false()),
    Column("reason", String, nullable=False, server_default=""),
    Column("detail", Text, nullable=False, server_default=""),
    Column("rollback_revision", Integer, nullable=False, server_default="0"),
    Column("back", Boolean, nullable=False, server_default=false()),
    Column("rolled_back_by", String, nullable=False, server_default=""),
    PrimaryKeyConstraint("rollout", "device"),
    Index(None, "device"),
)

totals = Table(
    "totals",
    metadata,
    Column("rollout", String, ForeignKey("rollouts.rollout"), nullable=False),
    Column("device", String, ForeignKey("devices.device"), nullable=False),
    Column("inferences", Integer, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("latency_us", Text, nullable=False),
    Column("confidence", Text, nullable=False),
    Column("class_counts", Text, nullable=False),
    Column("drift", Text),
    PrimaryKeyConstraint("rollout", "device"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("rollout", String, ForeignKey("rollouts.rollout"), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("inputs", Text, nullable=False),  # the facts it was decided from, for replay
)

desired = Table(
    "desired",
    metadata,
    Column("device", String, ForeignKey("devices.device"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("document", Text, nullable=False),
    Column("issued_at", Float, nullable=False),
    PrimaryKeyConstraint("device", "revision"),
)

mqtt_outbox = Table(
    "mqtt_outbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("device", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
    Index(None, "device", "channel"),
)

streams = Table(
    "streams",
    metadata,
    Column("device", String, ForeignKey("devices.device"), nullable=False),
    Column("stream", String, nullable=False),
    Column("committed_upto", Integer, nullable=False),
    Column("ahead", Text, nullable=False, server_default="[]"),  # sequences stored beyond a gap
    PrimaryKeyConstraint("device", "stream"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("device", String, ForeignKey("devices.device"), nullable=False),
    Column("stream", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("at", String, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("data", Text, nullable=False),
    UniqueConstraint("device", "stream", "sequence"),
    Index(None, "received_at"),
)

windows = Table(
    "windows",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("device", String, ForeignKey("devices.device"), nullable=False),
    Column("digest", String, nullable=False),
    Column("variant", String, nullable=False),
    Column("boot_id", String, nullable=False),
    Column("window_index", Integer, nullable=False),
    Column("rollout", String, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("device", "digest", "variant", "boot_id", "window_index"),
    Index(None, "device", "id"),
    Index(None, "rollout", "id"),
    Index(None, "received_at"),
)

rejected = Table(
    "rejected",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("device", String, nullable=False, index=True),
    Column("channel", String, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("head", LargeBinary, nullable=False),  # the first bytes of what came
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("detail", Text, nullable=False),
)

commands = Table(
    "commands",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("command_id", String, nullable=False, unique=True),
    Column("device", String, ForeignKey("devices.device"), nullable=False),
    Column("kind", String, nullable=False),
    Column("options", Text, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("state", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("sent_at", Float),
    Column("ended_at", Float),
    Column("text", Text, nullable=False, server_default=""),
    Column("data", Text, nullable=False, server_default="{}"),
    Index(None, "device", "state"),
)

samples = Table(
    "samples",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("device", String, ForeignKey("devices.device"), nullable=False),
    Column("sha256", String, nullable=False, index=True),
    Column("size_bytes", Integer, nullable=False),
    Column("command_id", String, nullable=False, index=True),
    Column("received_at", Float, nullable=False, index=True),
    Column("application", String, nullable=False),
    Column("model", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("label", String, nullable=False),
    Column("score", Float, nullable=False),
    Column("reason", String, nullable=False),
    Column("line", Text, nullable=False),
    UniqueConstraint("device", "sha256"),
)
