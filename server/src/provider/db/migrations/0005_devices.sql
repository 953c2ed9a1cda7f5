-- The account's list of its devices, as its own key has signed it; NULL before the first.
ALTER TABLE accounts ADD COLUMN device_list BLOB;

-- Keys by which devices of the list log in without the password. A device that was logged out has
-- none until it has proved the password again.
CREATE TABLE device_keys (
    account BLOB NOT NULL REFERENCES accounts (account) ON DELETE CASCADE,
    replica BLOB NOT NULL CHECK (length(replica) = 16),
    key     BLOB NOT NULL CHECK (length(key) = 32),
    PRIMARY KEY (account, replica)
) STRICT, WITHOUT ROWID;
