-- Where each account is. In the main one of several databases the table names the accounts of all.
-- `address` is canonical, `wkd_name` its name in the Web Key Directory.
CREATE TABLE places (
    account  BYTEA PRIMARY KEY CHECK (length(account) = 16),
    address  TEXT COLLATE "C" NOT NULL UNIQUE,
    wkd_name TEXT COLLATE "C",
    shard    TEXT COLLATE "C" NOT NULL DEFAULT 'main',
    epoch    BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX places_by_wkd_name ON places (wkd_name);
CREATE INDEX places_by_shard ON places (shard, address);
INSERT INTO places (account, address, wkd_name)
    SELECT account, address, wkd_name FROM accounts WHERE deleting = 0;
DROP INDEX accounts_by_wkd_name;
ALTER TABLE accounts DROP COLUMN wkd_name;
-- That of the account's place; 0 or less for rows that nobody may use.
ALTER TABLE accounts ADD COLUMN epoch BIGINT NOT NULL DEFAULT 1;

-- Certificates are public, and with the places.
DELETE FROM keys WHERE account NOT IN (SELECT account FROM places);
ALTER TABLE keys DROP CONSTRAINT keys_account_fkey;
ALTER TABLE keys ADD FOREIGN KEY (account) REFERENCES places (account) ON DELETE CASCADE;
