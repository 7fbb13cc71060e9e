package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"

	"lightspeed/api"
)

// Token is a token as it is kept: its text is known to nobody but its holder.
type Token struct {
	api.Token
	Hash [sha256.Size]byte
}

// maxTokens bounds how many tokens there may be.
const maxTokens = 10000

// AddToken keeps a token.
func (s *Store) AddToken(ctx context.Context, t Token) error {
	var listeners any
	if len(t.Listeners) > 0 {
		encoded, err := json.Marshal(t.Listeners)
		if err != nil {
			return err
		}
		listeners = string(encoded)
	}
	note := ""
	if t.Note != nil {
		note = *t.Note
	}
	return s.do(ctx, func(tx *Tx) error {
		var n int
		if _, err := tx.row([]any{&n}, `SELECT count(*) FROM tokens`); err != nil {
			return err
		}
		if n >= maxTokens {
			return conflict("there are %d tokens, and there can be no more: revoke some", n)
		}
		_, err := tx.exec(`INSERT INTO tokens (id, hash, role, listeners, note, created_at) VALUES (?, ?, ?, ?, ?, ?)`,
			t.ID, t.Hash[:], t.Role, listeners, null(note), micros(t.CreatedAt))
		return err
	})
}

// RemoveToken forgets a token.
func (s *Store) RemoveToken(ctx context.Context, id string) error {
	return s.do(ctx, func(tx *Tx) error {
		n, err := tx.exec(`DELETE FROM tokens WHERE id = ?`, id)
		if err == nil && n == 0 {
			err = api.Errorf(http.StatusNotFound, api.NotFound, "there is no token %q", id)
		}
		return err
	})
}

// Tokens lists all tokens, the newest first.
func (s *Store) Tokens(ctx context.Context) ([]Token, error) {
	list := []Token{}
	err := s.read(ctx, func(row scanner) error {
		t := Token{Token: api.Token{Listeners: []string{}}}
		var hash []byte
		var listeners *string
		var created int64
		if err := row.Scan(&t.ID, &hash, &t.Role, &listeners, &t.Note, &created); err != nil {
			return err
		}
		copy(t.Hash[:], hash)
		t.CreatedAt = timeOf(created)
		list = append(list, t)
		if listeners == nil {
			return nil
		}
		return json.Unmarshal([]byte(*listeners), &list[len(list)-1].Listeners)
	}, `SELECT id, hash, role, listeners, note, created_at FROM tokens ORDER BY created_at DESC, id`)
	return list, err
}

// ListenerOf names the listener of a run.
func (s *Store) ListenerOf(ctx context.Context, id string) (string, error) {
	var name string
	var known bool
	err := s.view(ctx, func(v view) (err error) {
		known, err = v.row([]any{&name}, `SELECT listener FROM runs WHERE id = ?`, id)
		return err
	})
	if err == nil && !known {
		err = noRun(id)
	}
	return name, err
}
