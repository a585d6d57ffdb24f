// Package prices reads bench/prices.yaml: what AWS and a face API ask, each with
// its source and the day on which it was read. No price is written in code.
package prices

import (
	"bytes"
	"fmt"
	"os"

	"github.com/goccy/go-yaml"
)

// List is the file. Prices are in its currency for one of the unit.
type List struct {
	Read     string `yaml:"read"` // day, ISO 8601
	Region   string `yaml:"region"`
	Currency string `yaml:"currency"`
	Lambda   struct {
		GBSecond float64 `yaml:"gb_second"`
		Request  float64 `yaml:"request"`
		Source   string  `yaml:"source"`
	} `yaml:"lambda"`
	S3 struct {
		Put     float64 `yaml:"put"` // PUT, COPY, POST, LIST
		Get     float64 `yaml:"get"` // GET and all others
		GBMonth float64 `yaml:"gb_month"`
		Source  string  `yaml:"source"`
	} `yaml:"s3"`
	API struct {
		Request float64 `yaml:"request"` // HTTP API
		Source  string  `yaml:"source"`
	} `yaml:"api"`
	Logs struct {
		GB     float64 `yaml:"gb"` // taken in
		Source string  `yaml:"source"`
	} `yaml:"logs"`
	Steps struct {
		Transition float64 `yaml:"transition"` // standard workflow
		Source     string  `yaml:"source"`
	} `yaml:"steps"`
	Fargate struct {
		VCPUHour float64 `yaml:"vcpu_hour"`
		GBHour   float64 `yaml:"gb_hour"`
		Source   string  `yaml:"source"`
	} `yaml:"fargate"`
	FaceAPI struct {
		Name   string  `yaml:"name"`
		Image  float64 `yaml:"image"`
		Source string  `yaml:"source"`
	} `yaml:"face_api"`
}

// Read reads a list; a field that is unknown or missing is an error.
func Read(file string) (List, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return List{}, err
	}
	var l List
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&l); err != nil {
		return List{}, fmt.Errorf("read %s: %w", file, err)
	}
	for name, v := range map[string]float64{
		"lambda.gb_second": l.Lambda.GBSecond, "lambda.request": l.Lambda.Request, "s3.put": l.S3.Put, "s3.get": l.S3.Get, "s3.gb_month": l.S3.GBMonth,
		"api.request": l.API.Request, "logs.gb": l.Logs.GB, "steps.transition": l.Steps.Transition,
		"fargate.vcpu_hour": l.Fargate.VCPUHour, "fargate.gb_hour": l.Fargate.GBHour, "face_api.image": l.FaceAPI.Image,
	} {
		if v <= 0 {
			return List{}, fmt.Errorf("read %s: no price %s", file, name)
		}
	}
	return l, nil
}
