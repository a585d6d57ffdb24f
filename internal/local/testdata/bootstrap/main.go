// Command bootstrap is each function of the test's template; STEP says which.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

type text struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// record is what Lambda sends to a destination.
type record struct {
	RequestContext  struct{ Condition string }
	RequestPayload  events.S3Event
	ResponsePayload text
}

type function struct {
	client *s3.Client
	bucket string
}

func main() {
	c, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	f := function{client: s3.NewFromConfig(c), bucket: os.Getenv("CASES_BUCKET")}
	steps := map[string]any{"read": f.read, "write": f.write, "failed": f.failed, "echo": echo}
	lambda.Start(steps[os.Getenv("STEP")])
}

// read returns a photo's text. It fails for "broken", and hangs on the first
// try for "slow".
func (f function) read(ctx context.Context, e events.S3Event) (text, error) {
	o := e.Records[0].S3
	body, err := f.get(ctx, &s3.GetObjectInput{Bucket: &o.Bucket.Name, Key: &o.Object.URLDecodedKey, VersionId: &o.Object.VersionID})
	if err != nil {
		return text{}, err
	}
	name := path.Base(o.Object.URLDecodedKey)
	switch string(body) {
	case "broken":
		return text{}, errors.New("the photo is broken")
	case "slow":
		if f.put(ctx, "started/"+name, nil) == nil {
			<-ctx.Done()
		}
	}
	return text{Name: name, Text: string(body)}, nil
}

// echo tells who asks, as the authorizer passes it on.
func echo(_ context.Context, e events.APIGatewayV2HTTPRequest) (string, error) {
	if e.RequestContext.Authorizer == nil {
		return "anybody, of " + os.Getenv("ISSUER"), nil
	}
	claims := e.RequestContext.Authorizer.JWT.Claims
	return claims["sub"] + " " + claims["roles"], nil
}

func (f function) write(ctx context.Context, r record) error {
	return f.put(ctx, "read/"+r.ResponsePayload.Name, []byte(os.Getenv("GREETING")+" "+r.ResponsePayload.Text))
}

func (f function) failed(ctx context.Context, e events.S3Event) error {
	o := e.Records[0].S3
	body, err := f.get(ctx, &s3.GetObjectInput{Bucket: &o.Bucket.Name, Key: &o.Object.URLDecodedKey})
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal(body, &r); err != nil {
		return err
	}
	name := path.Base(r.RequestPayload.Records[0].S3.Object.URLDecodedKey)
	return f.put(ctx, "failed/"+name, []byte(r.RequestContext.Condition))
}

func (f function) get(ctx context.Context, in *s3.GetObjectInput) ([]byte, error) {
	out, err := f.client.GetObject(ctx, in)
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

// put writes an object that is not there yet.
func (f function) put(ctx context.Context, key string, body []byte) error {
	_, err := f.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &f.bucket, Key: &key, Body: bytes.NewReader(body), IfNoneMatch: aws.String("*"),
	})
	return err
}
