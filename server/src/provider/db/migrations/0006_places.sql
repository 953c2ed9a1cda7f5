-- Where each account is: with one database always there. In the main one of several the table names the
-- accounts of all. `address` is canonical, `wkd_name` its name in the Web Key Directory.
CREATE TABLE places (
    account  BLOB PRIMARY KEY CHECK (length(account) = 16),
    address  TEXT NOT NULL UNIQUE,
    wkd_name TEXT,
    shard    TEXT NOT NULL DEFAULT 'main',
    epoch    INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;
CREATE INDEX places_by_wkd_name ON places (wkd_name);
INSERT INTO places (account, address, wkd_name)
    SELECT account, address, wkd_name FROM accounts WHERE deleting = 0;
DROP INDEX accounts_by_wkd_name;
ALTER TABLE accounts DROP COLUMN wkd_name;
-- That of the account's place; 0 or less for rows that nobody may use.
ALTER TABLE accounts ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1;

-- Certificates are public, and with the places.
CREATE TABLE published (
    account     BLOB PRIMARY KEY REFERENCES places (account) ON DELETE CASCADE,
    certificate BLOB NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO published SELECT account, certificate, updated_at FROM keys JOIN places USING (account);
DROP TABLE keys;
ALTER TABLE published RENAME TO keys;
