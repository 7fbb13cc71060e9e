package store

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// As many views as there may be at once, each of which asks something that nobody has asked before: none waits for
// another's end.
func TestViewsDoNotWaitForEachOther(t *testing.T) {
	f := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var open, all sync.WaitGroup
	open.Add(maxReaders)
	for i := range maxReaders {
		all.Go(func() {
			err := f.view(ctx, func(v view) error {
				open.Done()
				open.Wait()
				var n int
				_, err := v.row([]any{&n}, fmt.Sprintf(`SELECT %d`, i))
				return err
			})
			if err != nil {
				t.Errorf("view %d: %v", i, err)
			}
		})
	}
	all.Wait()
}
