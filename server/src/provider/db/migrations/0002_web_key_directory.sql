-- An account's name in the Web Key Directory, which follows from its local part; the provider fills
-- it in for accounts that are there already.
ALTER TABLE accounts ADD COLUMN wkd_name TEXT;
CREATE INDEX accounts_by_wkd_name ON accounts (wkd_name);
