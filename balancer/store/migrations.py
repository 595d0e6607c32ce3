"""The tables of the ledger, as steps from each version to the next; `ledger.py` alone runs them."""

MIGRATIONS = (
    """
    CREATE TABLE collections (id TEXT PRIMARY KEY, root TEXT, patient_pattern TEXT, scanned_at TEXT);
    CREATE TABLE images (
        collection TEXT, path TEXT, label TEXT, part TEXT, patient TEXT, format TEXT, mode TEXT, bits INTEGER,
        width INTEGER, height INTEGER, size INTEGER, mtime_ns INTEGER, sha256 TEXT, PRIMARY KEY (collection, path)
    ) WITHOUT ROWID;
    CREATE TABLE findings (collection TEXT, kind TEXT, paths TEXT, message TEXT, fix TEXT);
    CREATE TABLE splits (collection TEXT PRIMARY KEY, origin TEXT, seed INTEGER);
    CREATE TABLE split_parts (
        collection TEXT, path TEXT, part TEXT, PRIMARY KEY (collection, path)
    ) WITHOUT ROWID;
    CREATE TABLE candidates (
        collection TEXT, id TEXT, label TEXT, file TEXT, sha256 TEXT, job TEXT, PRIMARY KEY (collection, id)
    ) WITHOUT ROWID;
    CREATE TABLE verdicts (
        collection TEXT, candidate TEXT, decision TEXT, scores TEXT, reasons TEXT, reviewer TEXT, at TEXT
    );
    CREATE INDEX verdicts_of ON verdicts (collection, candidate);
    CREATE TABLE adapters (collection TEXT, folder TEXT, at TEXT, PRIMARY KEY (collection, folder));
    CREATE TABLE settings (collection TEXT, name TEXT, value TEXT, PRIMARY KEY (collection, name));
    """,
    """
    ALTER TABLE images ADD COLUMN sex TEXT;
    ALTER TABLE images ADD COLUMN age REAL;
    ALTER TABLE images ADD COLUMN view TEXT;
    """,
    """
    ALTER TABLE split_parts ADD COLUMN fold INTEGER;
    CREATE TABLE exposed_adapters (collection TEXT, folder TEXT, at TEXT, PRIMARY KEY (collection, folder));
    """,
    """
    ALTER TABLE collections ADD COLUMN patients_table TEXT;
    """,
    """
    CREATE TABLE contents (
        collection TEXT, path TEXT, size INTEGER, mtime_ns INTEGER, phash BLOB, mirrored BLOB, thumb BLOB, mean REAL,
        spread REAL, border REAL, border_grey REAL, marked INTEGER, frames INTEGER, fault TEXT,
        PRIMARY KEY (collection, path)
    );
    """,
    """
    ALTER TABLE candidates ADD COLUMN origin TEXT;
    ALTER TABLE verdicts ADD COLUMN judge TEXT;
    UPDATE verdicts SET judge = reviewer;
    CREATE TABLE pixels (
        collection TEXT, path TEXT, size INTEGER, mtime_ns INTEGER, digest TEXT, PRIMARY KEY (collection, path)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE readings (
        collection TEXT, study TEXT, reader TEXT, image TEXT, truth TEXT, answer TEXT, at TEXT
    );
    CREATE INDEX readings_of ON readings (collection, study);
    """,
    """
    CREATE TABLE openings (
        collection TEXT, split TEXT, comparison TEXT, at TEXT, PRIMARY KEY (collection, split, comparison)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE images ADD COLUMN labels TEXT;
    ALTER TABLE images ADD COLUMN told TEXT;
    ALTER TABLE collections ADD COLUMN source TEXT;
    """,
)
