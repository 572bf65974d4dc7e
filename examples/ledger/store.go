package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "github.com/mattn/go-sqlite3"
)

// An account's balance is the sum of its entries, in cents; a transfer writes two entries that add up to nothing.
const schema = `
CREATE TABLE IF NOT EXISTS transfers (
	id      INTEGER PRIMARY KEY,
	memo    TEXT NOT NULL,
	at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
);
CREATE TABLE IF NOT EXISTS entries (
	transfer INTEGER NOT NULL REFERENCES transfers(id),
	account  TEXT NOT NULL,
	cents    INTEGER NOT NULL CHECK (cents <> 0)
);
CREATE INDEX IF NOT EXISTS entries_by_account ON entries(account);
`

var (
	errSameAccount = errors.New("a transfer needs two accounts")
	errAmount      = errors.New("cents must be positive")
)

type transfer struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Cents int64  `json:"cents"`
	Memo  string `json:"memo"`
}

func (t transfer) validate() error {
	if t.From == "" || t.To == "" || t.From == t.To {
		return errSameAccount
	}
	if t.Cents <= 0 {
		return errAmount
	}
	return nil
}

type store struct{ db *sql.DB }

func openStore(path string) (*store, error) {
	escaped := (&url.URL{Path: path}).EscapedPath()
	db, err := sql.Open("sqlite3", "file:"+escaped+"?_journal_mode=WAL&_busy_timeout=5000&_foreign_keys=on")
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	// SQLite has one writer; a second connection would only meet its lock.
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(schema); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot prepare %s: %w", path, err), db.Close())
	}
	return &store{db}, nil
}

func (s *store) post(ctx context.Context, t transfer) (int64, error) {
	if err := t.validate(); err != nil {
		return 0, err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	result, err := tx.ExecContext(ctx, "INSERT INTO transfers(memo) VALUES (?)", t.Memo)
	if err != nil {
		return 0, err
	}
	id, err := result.LastInsertId()
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO entries(transfer, account, cents) VALUES (?, ?, ?), (?, ?, ?)",
		id, t.From, -t.Cents, id, t.To, t.Cents)
	if err != nil {
		return 0, err
	}
	return id, tx.Commit()
}

func (s *store) balances(ctx context.Context) (map[string]int64, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT account, sum(cents) FROM entries GROUP BY account ORDER BY account")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	result := map[string]int64{}
	for rows.Next() {
		var account string
		var cents int64
		if err := rows.Scan(&account, &cents); err != nil {
			return nil, err
		}
		result[account] = cents
	}
	return result, rows.Err()
}

// engine names the SQLite that the binary carries.
func (s *store) engine(ctx context.Context) (name string, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&name)
	return name, err
}
