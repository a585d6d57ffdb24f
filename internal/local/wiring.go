package local

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"github.com/agequote/agequote/internal/local/samtemplate"
)

// notify passes the creation of an object on to each function whose events it
// matches, as an asynchronous invocation each.
func (s *Stack) notify(e events.S3Event) {
	<-s.ready // only requests that come in while we start wait here
	record := e.Records[0]
	for _, f := range s.template.Functions {
		if !slices.ContainsFunc(f.S3Events, func(source samtemplate.S3Event) bool {
			return s.Resource(source.Bucket) == record.S3.Bucket.Name && matches(source, record)
		}) {
			continue
		}
		record.S3.ConfigurationID = f.LogicalID
		payload, err := json.Marshal(events.S3Event{Records: []events.S3EventRecord{record}})
		if err == nil {
			err = s.lambda.InvokeAsync(f.ARN, payload)
		}
		if err != nil {
			s.options.Log.Error("pass on S3 event", "function", f.LogicalID, "err", err)
		}
	}
}

// matches tells whether an event source wants the record of its bucket.
func matches(source samtemplate.S3Event, record events.S3EventRecord) bool {
	key := record.S3.Object.URLDecodedKey
	if !strings.HasPrefix(key, source.Prefix) || !strings.HasSuffix(key, source.Suffix) {
		return false
	}
	return slices.ContainsFunc(source.Events, func(kind string) bool {
		return like(kind, "s3:"+record.EventName)
	})
}

// mayInvoke returns the ARNs of the functions that a role with the statements
// may invoke. Their conditions are not looked at.
func mayInvoke(statements []samtemplate.Statement, functions []samtemplate.Function) []string {
	var out []string
	for _, f := range functions {
		effects := map[string]bool{}
		for _, s := range statements {
			if anyLike(s.Actions, "lambda:InvokeFunction") && anyLike(s.Resources, f.ARN) {
				effects[s.Effect] = true
			}
		}
		if effects["Allow"] && !effects["Deny"] {
			out = append(out, f.ARN)
		}
	}
	return out
}

func anyLike(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return like(p, text) })
}

// like matches the wildcards of IAM and of S3's event names. Neither an action,
// nor a function's ARN, nor an event name has a slash, at which path.Match
// would stop.
func like(pattern, text string) bool {
	ok, err := path.Match(pattern, text)
	return err == nil && ok
}
