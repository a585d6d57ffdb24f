package evaluation

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"
)

// Photos reads every label's file from the folder dir and passes its bytes to
// read, on so many workers at once. Results come in the order of the labels;
// done is called after each. Files outside dir are not reached. The first error
// ends the run.
func Photos[T any](ctx context.Context, dir string, labels []Label, workers int, read func(Label, []byte) (T, error), done func()) ([]T, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder of images: %w", err)
	}
	defer root.Close()

	results := make([]T, len(labels))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, workers))
	for i, label := range labels {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			photo, err := root.ReadFile(label.File)
			if err != nil {
				return fmt.Errorf("read photo: %w", err)
			}
			if results[i], err = read(label, photo); err != nil {
				return fmt.Errorf("%s: %w", label.File, err)
			}
			done()
			return nil
		})
	}
	return results, g.Wait()
}
