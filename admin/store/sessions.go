package store

import (
	"context"
	"time"
)

// Session is somebody who has logged in on the page.
type Session struct {
	ID    []byte // the hash of the id that the browser holds
	Token []byte // the hash of the token that it was opened with
	Until time.Time
}

// maxSessions bounds how many sessions are kept; the ones that end first make room.
const maxSessions = 10_000

// OpenSession keeps a session, and forgets those that are over.
func (s *Store) OpenSession(ctx context.Context, one Session) error {
	return s.do(ctx, func(tx *Tx) error {
		if _, err := tx.exec(`DELETE FROM sessions WHERE until < ?`, micros(tx.now)); err != nil {
			return err
		}
		if _, err := tx.exec(`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions ORDER BY until DESC LIMIT -1 OFFSET ?)`, maxSessions-1); err != nil {
			return err
		}
		_, err := tx.exec(`INSERT INTO sessions (id, token, until) VALUES (?, ?, ?)`, one.ID, one.Token, micros(one.Until))
		return err
	})
}

// Session finds a session that is not over yet.
func (s *Store) Session(ctx context.Context, id []byte) (one Session, ok bool, err error) {
	one.ID = id
	err = s.view(ctx, func(v view) error {
		var until int64
		ok, err = v.row([]any{&one.Token, &until}, `SELECT token, until FROM sessions WHERE id = ?`, id)
		one.Until = timeOf(until)
		ok = ok && time.Now().Before(one.Until)
		return err
	})
	return one, ok, err
}

// CloseSession forgets a session; one that is not there is no error.
func (s *Store) CloseSession(ctx context.Context, id []byte) error {
	return s.do(ctx, func(tx *Tx) error {
		_, err := tx.exec(`DELETE FROM sessions WHERE id = ?`, id)
		return err
	})
}
