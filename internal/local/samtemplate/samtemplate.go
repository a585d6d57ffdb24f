// Package samtemplate reads from a SAM template what the local stack needs to
// run it: functions with their settings, events, destinations and permissions,
// buckets, and HTTP APIs. Intrinsic functions are resolved as CloudFormation would on
// deploying, and Globals are merged as SAM does.
//
// It is not a template validator (sam validate and cfn-lint are), and only the
// properties that it returns are looked at: whatever else a resource says is
// neither resolved nor checked. Macros, nested stacks, mappings, imports and
// SAM's policy templates are not read. Authorizers of HTTP APIs other than JWT
// authorizers are refused, since their routes would be open to anybody.
package samtemplate

import (
	"fmt"
	"os"
	"time"
)

// Options choose what a deployment would choose.
type Options struct {
	Parameters map[string]string // overrides of the template's parameters
	StackName  string            // AWS::StackName
	Region     string            // AWS::Region
	Account    string            // AWS::AccountId, twelve digits
}

// Template is what a template says, in the order in which it says it. Resources
// whose condition is false are absent.
type Template struct {
	Functions []Function
	Buckets   []Bucket
	APIs      []API
	Machines  []StateMachine
}

// Function is one AWS::Serverless::Function.
type Function struct {
	LogicalID   string
	Name        string // physical
	ARN         string // without a version
	MemoryMB    int    // default 128
	Timeout     time.Duration
	Environment map[string]string
	Reserved    *int // ReservedConcurrentExecutions; nil: none reserved

	// Asynchronous invocation.
	Retries     int           // after the first try; default 2
	MaxEventAge time.Duration // default 6 hours
	OnSuccess   *Destination
	OnFailure   *Destination

	S3Events   []S3Event
	HTTPEvents []HTTPEvent
	Statements []Statement // of its role; managed policies, named only, are not among them
}

// DestinationType says what takes an invocation record.
type DestinationType string

// The destinations that run locally.
const (
	ToLambda   DestinationType = "Lambda"
	ToS3Bucket DestinationType = "S3Bucket"
)

// Destination takes the record of an asynchronous invocation.
type Destination struct {
	Type DestinationType
	ARN  string // of the function or the bucket
}

// S3Event says which objects of a bucket start a function.
type S3Event struct {
	Bucket string   // logical id, as SAM demands
	Events []string // s3:ObjectCreated:* or one of its kinds
	Prefix string   // of the key, undecoded
	Suffix string
}

// StateMachine is one AWS::Serverless::StateMachine. Nothing here runs it: what
// it may do is read, and what its definition is filled with.
type StateMachine struct {
	LogicalID     string
	Name          string            // physical
	Definition    string            // path of DefinitionUri, relative to the template
	Substitutions map[string]string // of ${names} in the definition
	Statements    []Statement       // of its role
}

// HTTPEvent is a route of an HTTP API that starts a function.
type HTTPEvent struct {
	API    string // logical id
	Method string // upper case, or ANY
	Path   string // /applications/{case}, /page/{file+}

	Authorizer string   // of the API, by its name; empty: anybody is let in
	Scopes     []string // of which a token needs one; empty: none is asked for
}

// API is one AWS::Serverless::HttpApi.
type API struct {
	LogicalID string
	Name      string // stands for the id that a deployment would make up
	Endpoint  string // the address that it would have on AWS, without a slash at the end

	RateLimit  float64 // requests a second for each route; 0: none stated
	BurstLimit int
	CORS       *CORS // nil: none

	Authorizers []Authorizer
}

// Authorizer is a JWT authorizer of an HTTP API: SAM's OAuth2Authorizer.
type Authorizer struct {
	Name     string
	Issuer   string
	Audience []string
	Source   string   // $request.header.Authorization
	Scopes   []string // for routes that name none of their own
}

// CORS says which pages of other origins a browser lets in.
type CORS struct {
	Origins []string
	Methods []string
	Headers []string
	Expose  []string
	MaxAge  int // seconds
}

// Statement is one statement of an IAM policy.
type Statement struct {
	Effect     string // Allow or Deny
	Actions    []string
	Resources  []string
	Conditions map[string]map[string][]string // operator, key, values
}

// Bucket is one AWS::S3::Bucket.
type Bucket struct {
	LogicalID string
	Name      string // physical
	ARN       string
	Versioned bool
	Lock      *Lock  // Object Lock's default retention; nil: none
	CORS      []CORS // its rules

	// Days of the lifecycle rules that concern every object; 0 where none does.
	// The local stack has no lifecycle: `agequote expire` does it there.
	ExpirationDays int
	NoncurrentDays int // of older versions
}

// Lock is for how long Object Lock keeps every new object.
type Lock struct {
	Mode string // GOVERNANCE or COMPLIANCE
	Days int
}

// HasParameter tells whether the template at path declares a parameter.
func HasParameter(path, name string) (bool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("read template: %w", err)
	}
	root, err := parseYAML(data)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	_, ok := root.fields["Parameters"].fields[name]
	return ok, nil
}

// Read reads the template at path. Errors name the file and the line.
func Read(path string, o Options) (*Template, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	t, err := Parse(data, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}
