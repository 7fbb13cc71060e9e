package api

import "time"

// Roles of a token.
const (
	RoleAdmin    = "admin"    // everything
	RoleViewer   = "viewer"   // looks at everything, and changes nothing
	RoleHooks    = "hooks"    // hands in deliveries, and nothing else
	RoleListener = "listener" // does what listeners do
)

// Roles are all that a token can have.
var Roles = []string{RoleAdmin, RoleViewer, RoleHooks, RoleListener}

// Token is one row of GET tokens. Its text is shown once, when it is made.
type Token struct {
	ID   string `json:"id"`
	Role string `json:"role"`
	// Listeners bind a listener's token to names; each may be a pattern: * is any text without a slash. None
	// binds it to nothing.
	Listeners  []string   `json:"listeners"`
	Note       *string    `json:"note"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"` // null when it was not used since admin started
}

// NewToken is the body of POST tokens.
type NewToken struct {
	Role      string   `json:"role"`
	Listeners []string `json:"listeners"`
	Note      string   `json:"note"`
}

// MadeToken answers POST tokens: the only time that a token's text is shown.
type MadeToken struct {
	Token
	Text string `json:"token"`
}
