package event

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	shaA  = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
	shaB  = "3b1e7c0d2f6a5948c3e0d17b8a9f4e5c6d7b8a90"
	zero  = "0000000000000000000000000000000000000000"
	zero2 = zero + "000000000000000000000000"
	sha2  = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
)

func TestMakePushReadsBackToTheSame(t *testing.T) {
	many := make([]string, 0, 3500)
	for i := range 3500 {
		many = append(many, strings.Repeat("d/", i%7)+string(rune('a'+i%26))+strings.Repeat("x", i/26))
	}
	tests := map[string]struct {
		spec PushSpec
		want Event
	}{
		"branch": {
			PushSpec{Repo: "me/my-repo", Branch: "a/b", SHA: shaA, Before: shaB, Files: []string{"z", "a b", "a b"},
				Message: "fix <b> & \"quotes\"\n\nbody\t", Pusher: "someone", Nonce: "1"},
			Event{Name: Push, Repo: "me/my-repo", Ref: "refs/heads/a/b", Branch: "a/b", SHA: shaA, Before: shaB, After: shaA,
				Files: []string{"a b", "z"}, FilesKnown: true,
				Message: "fix <b> & \"quotes\"\n\nbody\t", Author: "someone", Pusher: "someone"},
		},
		"tag": {
			PushSpec{Repo: "me/my-repo", Tag: "v1", SHA: shaA, Before: zero},
			Event{Name: Push, Repo: "me/my-repo", Ref: "refs/tags/v1", Tag: "v1", SHA: shaA, Before: zero, After: shaA, Created: true},
		},
		"nothing known but the branch": {
			PushSpec{Repo: "me/my-repo", Branch: "main"},
			Event{Name: Push, Repo: "me/my-repo", Ref: "refs/heads/main", Branch: "main"},
		},
		"deleted, SHA-256": {
			PushSpec{Repo: "me/my-repo", Branch: "main", SHA: zero2, Before: sha2, Pusher: "someone"},
			Event{Name: Push, Repo: "me/my-repo", Ref: "refs/heads/main", Branch: "main", Before: sha2, After: zero2,
				Deleted: true, Pusher: "someone"},
		},
		"names that are not UTF-8": {
			PushSpec{Repo: "me/my-repo", Branch: "\xff\xfe$(id)`\u202e", SHA: shaA, Files: []string{"\x80", "\uFDD0\\x"}, Message: "\xc3"},
			Event{Name: Push, Repo: "me/my-repo", Ref: "refs/heads/\xff\xfe$(id)`\u202e", Branch: "\xff\xfe$(id)`\u202e", SHA: shaA,
				After: shaA, Files: []string{"\x80", "\uFDD0\\x"}, FilesKnown: true, Message: "\xc3"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			body, err := MakePush(test.spec)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Parse(Delivery{Event: Push, ContentType: typeJSON, Body: body})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("more files than a commit's list holds", func(t *testing.T) {
		body, err := MakePush(PushSpec{Repo: "me/my-repo", Branch: "main", SHA: shaA, Files: many})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(Delivery{Event: Push, ContentType: typeJSON, Body: body})
		if err != nil || !got.FilesKnown || len(got.Files) < 3000 {
			t.Errorf("known %v, %d files, err %v", got.FilesKnown, len(got.Files), err)
		}
	})
}

func TestMakePushTellsANonceApart(t *testing.T) {
	spec := PushSpec{Repo: "me/my-repo", Branch: "main", SHA: shaA, Nonce: "1"}
	one, err1 := MakePush(spec)
	spec.Nonce = "2"
	two, err2 := MakePush(spec)
	if err1 != nil || err2 != nil || string(one) == string(two) {
		t.Errorf("bodies are the same: %s, errors %v, %v", one, err1, err2)
	}
}

func TestMakePushRefuses(t *testing.T) {
	tests := map[string]struct {
		spec PushSpec
		want string
	}{
		"no ref":     {PushSpec{Repo: "me/r", SHA: shaA}, "a push needs a branch or a tag, and not both"},
		"two refs":   {PushSpec{Repo: "me/r", SHA: shaA, Branch: "a", Tag: "b"}, "a push needs a branch or a tag, and not both"},
		"no repo":    {PushSpec{SHA: shaA, Branch: "a"}, `push: "repository.full_name" is missing`},
		"wrong repo": {PushSpec{Repo: "r", SHA: shaA, Branch: "a"}, `push: repository "r" is not owner/repo of letters, digits, ".", "_" and "-"`},
		"wrong SHA":  {PushSpec{Repo: "me/r", SHA: "HEAD", Branch: "a"}, `push: commit "HEAD" is not 40 or 64 hex digits`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := MakePush(test.spec); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}
