package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/agequote/agequote/internal/model"
)

// serve is what bench/python/serve.py is, in Go: it says that it is ready and
// answers each photo's path with its age. It is predict without S3 and Lambda.
func serve(dir string, in io.Reader, out io.Writer) error {
	m, err := model.Load("", dir, model.Options{AllowResearch: true})
	if err != nil {
		return err
	}
	defer m.Close()
	fmt.Fprintln(out, "ready")
	answers := json.NewEncoder(out)
	for photos := bufio.NewScanner(in); photos.Scan(); {
		photo, err := os.ReadFile(photos.Text())
		if err != nil {
			return err
		}
		estimate, _, err := m.Look(photo)
		if err != nil {
			return err
		}
		if err := answers.Encode(estimate); err != nil {
			return err
		}
	}
	return nil
}
