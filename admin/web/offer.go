package web

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// offer is what the form that starts a run by hand is filled with, and what it proposes.
type offer struct {
	Repo, Branch    string // empty where there is more than one, or none
	Repos, Branches []string
}

// offered is how many of the listener's newest runs are looked through for what it may be asked to run.
const offered = 50

// offerFor proposes what the listener's rules name, and what it ran. Where that is one repository it stands there
// already, with the branch that ran last.
func (v *visit) offerFor(ctx context.Context, l Listener) (offer, error) {
	o := offer{Repos: slices.Clone(l.Repos), Branches: slices.Clone(l.Branches)}
	page, err := v.source.Runs(ctx, Filter{Listener: l.Name, Limit: offered})
	if err != nil {
		return o, err
	}
	for _, r := range page.Items {
		if !slices.ContainsFunc(o.Repos, func(own string) bool { return strings.EqualFold(own, r.Repo) }) {
			o.Repos = append(o.Repos, r.Repo)
		}
		if r.PR != nil || r.Branch == nil {
			continue
		}
		o.Branch = cmp.Or(o.Branch, *r.Branch)
		if !slices.Contains(o.Branches, *r.Branch) {
			o.Branches = append(o.Branches, *r.Branch)
		}
	}
	if o.Branch == "" && len(o.Branches) == 1 {
		o.Branch = o.Branches[0]
	}
	if len(o.Repos) == 1 {
		o.Repo = o.Repos[0]
	} else {
		o.Branch = ""
	}
	return o, nil
}
