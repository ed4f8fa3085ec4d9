BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE aliases (
	model VARCHAR NOT NULL, 
	alias VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_aliases PRIMARY KEY (model, alias), 
	CONSTRAINT fk_aliases_model FOREIGN KEY(model) REFERENCES models (model)
);
CREATE TABLE applications (
	application VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	model VARCHAR NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	published_at FLOAT NOT NULL, 
	withdrawn BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_applications PRIMARY KEY (application, version)
);
CREATE TABLE artifacts (
	sha256 VARCHAR NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	created_at FLOAT NOT NULL, 
	CONSTRAINT pk_artifacts PRIMARY KEY (sha256)
);
CREATE TABLE assignments (
	rollout VARCHAR NOT NULL, 
	device VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	arm VARCHAR NOT NULL, 
	phase INTEGER NOT NULL, 
	wanted_digest VARCHAR NOT NULL, 
	previous TEXT, 
	revision INTEGER DEFAULT '0' NOT NULL, 
	exposed_at FLOAT, 
	deadline_at FLOAT, 
	started BOOLEAN DEFAULT 0 NOT NULL, 
	attempt INTEGER DEFAULT '0' NOT NULL, 
	state VARCHAR, 
	settled BOOLEAN DEFAULT 0 NOT NULL, 
	failed BOOLEAN DEFAULT 0 NOT NULL, 
	version_fault BOOLEAN DEFAULT 0 NOT NULL, 
	reason VARCHAR DEFAULT '' NOT NULL, 
	detail TEXT DEFAULT '' NOT NULL, 
	rollback_revision INTEGER DEFAULT '0' NOT NULL, 
	back BOOLEAN DEFAULT 0 NOT NULL, 
	rolled_back_by VARCHAR DEFAULT '' NOT NULL, 
	CONSTRAINT pk_assignments PRIMARY KEY (rollout, device), 
	CONSTRAINT fk_assignments_device FOREIGN KEY(device) REFERENCES devices (device), 
	CONSTRAINT fk_assignments_rollout FOREIGN KEY(rollout) REFERENCES rollouts (rollout)
);
CREATE TABLE audit (
	id INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	detail TEXT NOT NULL, 
	CONSTRAINT pk_audit PRIMARY KEY (id)
);
INSERT INTO "audit" VALUES(1,1767225600.0,'operator','claim','pi-01','{}');
CREATE TABLE claims (
	claim_id VARCHAR NOT NULL, 
	secret_sha256 VARCHAR NOT NULL, 
	device VARCHAR NOT NULL, 
	hardware_class VARCHAR DEFAULT '' NOT NULL, 
	created_at FLOAT NOT NULL, 
	expires_at FLOAT NOT NULL, 
	used_at FLOAT, 
	CONSTRAINT pk_claims PRIMARY KEY (claim_id)
);
CREATE TABLE decisions (
	id INTEGER NOT NULL, 
	rollout VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	kind VARCHAR NOT NULL, 
	reason TEXT NOT NULL, 
	inputs TEXT NOT NULL, 
	CONSTRAINT pk_decisions PRIMARY KEY (id), 
	CONSTRAINT fk_decisions_rollout FOREIGN KEY(rollout) REFERENCES rollouts (rollout)
);
CREATE TABLE desired (
	device VARCHAR NOT NULL, 
	revision INTEGER NOT NULL, 
	envelope BLOB NOT NULL, 
	document TEXT NOT NULL, 
	issued_at FLOAT NOT NULL, 
	CONSTRAINT pk_desired PRIMARY KEY (device, revision), 
	CONSTRAINT fk_desired_device FOREIGN KEY(device) REFERENCES devices (device)
);
CREATE TABLE devices (
	device VARCHAR NOT NULL, 
	hardware_class VARCHAR NOT NULL, 
	public_key TEXT NOT NULL, 
	verifier VARCHAR NOT NULL, 
	enrolled_at FLOAT NOT NULL, 
	revoked BOOLEAN DEFAULT 0 NOT NULL, 
	agent_version VARCHAR DEFAULT '' NOT NULL, 
	desired_revision INTEGER DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_devices PRIMARY KEY (device)
);
INSERT INTO "devices" VALUES('pi-01','pi','{}','scrypt',1767225600.0,0,'0.1.0',3);
CREATE TABLE events (
	id INTEGER NOT NULL, 
	device VARCHAR NOT NULL, 
	stream VARCHAR NOT NULL, 
	sequence INTEGER NOT NULL, 
	at VARCHAR NOT NULL, 
	received_at FLOAT NOT NULL, 
	kind VARCHAR NOT NULL, 
	text TEXT NOT NULL, 
	data TEXT NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (id), 
	CONSTRAINT fk_events_device FOREIGN KEY(device) REFERENCES devices (device), 
	CONSTRAINT uq_events_device_stream_sequence UNIQUE (device, stream, sequence)
);
INSERT INTO "events" VALUES(1,'pi-01','s',1,'2026-01-01T00:00:00.000Z',1767225600.0,'agent','the agent started','{}');
CREATE TABLE facts (
	name VARCHAR NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_facts PRIMARY KEY (name)
);
INSERT INTO "facts" VALUES('fleet','main');
CREATE TABLE health (
	device VARCHAR NOT NULL, 
	body TEXT NOT NULL, 
	received_at FLOAT NOT NULL, 
	CONSTRAINT pk_health PRIMARY KEY (device), 
	CONSTRAINT fk_health_device FOREIGN KEY(device) REFERENCES devices (device)
);
CREATE TABLE models (
	model VARCHAR NOT NULL, 
	registered_at FLOAT NOT NULL, 
	min_version INTEGER DEFAULT '1' NOT NULL, 
	acceptance TEXT, 
	CONSTRAINT pk_models PRIMARY KEY (model)
);
CREATE TABLE mqtt_outbox (
	id INTEGER NOT NULL, 
	device VARCHAR NOT NULL, 
	channel VARCHAR NOT NULL, 
	payload BLOB NOT NULL, 
	created_at FLOAT NOT NULL, 
	CONSTRAINT pk_mqtt_outbox PRIMARY KEY (id)
);
CREATE TABLE presence (
	device VARCHAR NOT NULL, 
	presence VARCHAR NOT NULL, 
	session INTEGER DEFAULT '0' NOT NULL, 
	boot_id VARCHAR DEFAULT '' NOT NULL, 
	last_seen_at FLOAT, 
	latency_p95_ms FLOAT, 
	latency_mean_ms FLOAT, 
	CONSTRAINT pk_presence PRIMARY KEY (device), 
	CONSTRAINT fk_presence_device FOREIGN KEY(device) REFERENCES devices (device)
);
INSERT INTO "presence" VALUES('pi-01','offline',4,'',NULL,NULL,NULL);
CREATE TABLE rejected (
	id INTEGER NOT NULL, 
	device VARCHAR NOT NULL, 
	channel VARCHAR NOT NULL, 
	received_at FLOAT NOT NULL, 
	reason TEXT NOT NULL, 
	head BLOB NOT NULL, 
	CONSTRAINT pk_rejected PRIMARY KEY (id)
);
CREATE TABLE reported (
	device VARCHAR NOT NULL, 
	body TEXT NOT NULL, 
	received_at FLOAT NOT NULL, 
	CONSTRAINT pk_reported PRIMARY KEY (device), 
	CONSTRAINT fk_reported_device FOREIGN KEY(device) REFERENCES devices (device)
);
CREATE TABLE rollouts (
	number INTEGER NOT NULL, 
	rollout VARCHAR NOT NULL, 
	spec TEXT NOT NULL, 
	state VARCHAR NOT NULL, 
	state_reason TEXT DEFAULT '' NOT NULL, 
	revision INTEGER NOT NULL, 
	phase INTEGER NOT NULL, 
	phase_started_at FLOAT, 
	phase_ends_at FLOAT, 
	rollback_started_at FLOAT, 
	salt VARCHAR NOT NULL, 
	created_at FLOAT NOT NULL, 
	updated_at FLOAT NOT NULL, 
	gates TEXT DEFAULT '[]' NOT NULL, 
	verdict TEXT, 
	CONSTRAINT pk_rollouts PRIMARY KEY (number), 
	CONSTRAINT uq_rollouts_rollout UNIQUE (rollout)
);
CREATE TABLE streams (
	device VARCHAR NOT NULL, 
	stream VARCHAR NOT NULL, 
	committed_upto INTEGER NOT NULL, 
	ahead TEXT DEFAULT '[]' NOT NULL, 
	CONSTRAINT pk_streams PRIMARY KEY (device, stream), 
	CONSTRAINT fk_streams_device FOREIGN KEY(device) REFERENCES devices (device)
);
CREATE TABLE totals (
	rollout VARCHAR NOT NULL, 
	device VARCHAR NOT NULL, 
	inferences INTEGER NOT NULL, 
	errors INTEGER NOT NULL, 
	latency_us TEXT NOT NULL, 
	confidence TEXT NOT NULL, 
	class_counts TEXT NOT NULL, 
	drift TEXT, 
	CONSTRAINT pk_totals PRIMARY KEY (rollout, device), 
	CONSTRAINT fk_totals_device FOREIGN KEY(device) REFERENCES devices (device), 
	CONSTRAINT fk_totals_rollout FOREIGN KEY(rollout) REFERENCES rollouts (rollout)
);
CREATE TABLE tuf_metadata (
	role VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	body BLOB NOT NULL, 
	stored_at FLOAT NOT NULL, 
	CONSTRAINT pk_tuf_metadata PRIMARY KEY (role, version)
);
CREATE TABLE tuf_targets (
	path VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	CONSTRAINT pk_tuf_targets PRIMARY KEY (path)
);
CREATE TABLE versions (
	model VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	digest VARCHAR NOT NULL, 
	manifest_bytes INTEGER NOT NULL, 
	published_at FLOAT NOT NULL, 
	task VARCHAR NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	variants TEXT NOT NULL, 
	lineage TEXT NOT NULL, 
	withdrawn BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_versions PRIMARY KEY (model, version), 
	CONSTRAINT fk_versions_model FOREIGN KEY(model) REFERENCES models (model)
);
CREATE TABLE windows (
	id INTEGER NOT NULL, 
	device VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	variant VARCHAR NOT NULL, 
	boot_id VARCHAR NOT NULL, 
	window_index INTEGER NOT NULL, 
	rollout VARCHAR NOT NULL, 
	received_at FLOAT NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_windows PRIMARY KEY (id), 
	CONSTRAINT fk_windows_device FOREIGN KEY(device) REFERENCES devices (device), 
	CONSTRAINT uq_windows_device_digest_variant_boot_id_window_index UNIQUE (device, digest, variant, boot_id, window_index)
);
CREATE INDEX ix_mqtt_outbox_device_channel ON mqtt_outbox (device, channel);
CREATE INDEX ix_rejected_device ON rejected (device);
CREATE INDEX ix_assignments_device ON assignments (device);
CREATE INDEX ix_decisions_rollout ON decisions (rollout);
CREATE INDEX ix_events_received_at ON events (received_at);
CREATE INDEX ix_windows_device_id ON windows (device, id);
CREATE INDEX ix_windows_received_at ON windows (received_at);
CREATE INDEX ix_windows_rollout_id ON windows (rollout, id);
COMMIT;
