-- Catalogue, schema version 1. A later version gets a file of its own; old projects are kept as tests.

CREATE TABLE imports (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,               -- ISO 8601, UTC
    source TEXT NOT NULL,           -- last part of the path as the user gave it, escaped for display
    report TEXT NOT NULL            -- ImportReport as JSON
);

CREATE TABLE samples (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL,           -- of the blob, or of `row` as canonical JSON
    occurrence INTEGER NOT NULL DEFAULT 0,  -- 1, 2, … for rows of a table that repeat; images never do
    group_key TEXT NOT NULL,        -- samples of one group stay in one split
    name TEXT NOT NULL,             -- escaped for display
    label TEXT,                     -- what training reads; NULL where unlabelled
    given_split TEXT NOT NULL DEFAULT '',   -- as the source's folders said
    split TEXT NOT NULL DEFAULT '', -- in the newest version, or 'acceptance'
    width INTEGER NOT NULL DEFAULT 0,
    height INTEGER NOT NULL DEFAULT 0,
    size_bytes INTEGER NOT NULL,
    row TEXT,                       -- canonical JSON of a table's row, target included
    excluded INTEGER NOT NULL DEFAULT 0,
    queued INTEGER NOT NULL DEFAULT 0,      -- waits in the labelling queue
    conflict INTEGER NOT NULL DEFAULT 0,    -- imports disagree on its label, no person has decided
    source TEXT NOT NULL,           -- import, try, device
    import_id INTEGER REFERENCES imports(id),
    predicted TEXT,
    predicted_score REAL,
    UNIQUE (sha256, occurrence)
);
CREATE INDEX samples_label ON samples (label);
CREATE INDEX samples_split ON samples (split);
CREATE INDEX samples_group ON samples (group_key);

CREATE TABLE annotations (
    id INTEGER PRIMARY KEY,
    sample_id INTEGER NOT NULL REFERENCES samples(id),
    label TEXT,                     -- NULL: a person took the label away
    source TEXT NOT NULL,           -- folder, column, person
    at TEXT NOT NULL,
    import_id INTEGER REFERENCES imports(id)
);
CREATE INDEX annotations_sample ON annotations (sample_id);

CREATE TABLE columns (              -- of a table project, in the order of its first file
    position INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,             -- float, integer, category
    target INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE versions (
    number INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    at TEXT NOT NULL
);

CREATE TABLE operations (           -- what a person did, for undo
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    text TEXT NOT NULL,
    before TEXT NOT NULL,           -- JSON: list of {id, label, excluded, queued, conflict}
    annotation_from INTEGER NOT NULL DEFAULT 0,  -- ids of the annotations it made: from … (0: none)
    annotation_to INTEGER NOT NULL DEFAULT 0,    -- … to, which undo takes back
    undone INTEGER NOT NULL DEFAULT 0
);
