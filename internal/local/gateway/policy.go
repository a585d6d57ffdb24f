package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"

	"github.com/agequote/agequote/internal/local/samtemplate"
)

// bucketPolicy is the JSON of a bucket policy.
type bucketPolicy struct {
	Version   string
	Statement []bucketStatement
}

type bucketStatement struct {
	Effect    string
	Principal map[string]string
	Action    []string
	Resource  []string
	Condition map[string]map[string][]string `json:",omitempty"`
}

// conditionKeys are the condition keys that the server can judge here. The
// others are left out of a condition, so that a statement grants, or denies,
// somewhat more than on AWS: those about accounts and organisations, since
// there is one account, and aws:SecureTransport, since there is no TLS.
var conditionKeys = map[string]bool{
	"s3:prefix":    true,
	"s3:delimiter": true,
	"s3:max-keys":  true,
	"s3:versionid": true,
	"aws:sourceip": true,
}

// policyFor returns the policy that grants the roles on one bucket what their
// statements do, as JSON; empty where they grant nothing.
//
// IAM judges a statement by each pair of action and resource; a bucket policy
// refuses a statement with an action that no resource of it can take. So each
// statement is split in two: actions on the bucket, and actions on its objects.
func policyFor(bucket string, roles []Role) ([]byte, error) {
	p := bucketPolicy{Version: "2012-10-17"}
	for _, role := range roles {
		for _, s := range role.Statements {
			p.Statement = append(p.Statement, split(bucket, role.Name, s)...)
		}
	}
	if len(p.Statement) == 0 {
		return nil, nil
	}
	doc, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode policy of bucket %s: %w", bucket, err)
	}
	return doc, nil
}

// split returns what a statement means for one bucket.
func split(bucket, role string, s samtemplate.Statement) []bucketStatement {
	onBucket, onObjects := resources(bucket, s.Resources)
	bucketActions, objectActions := actions(s.Actions)

	var out []bucketStatement
	add := func(actions, resources []string) {
		if len(actions) == 0 || len(resources) == 0 {
			return
		}
		out = append(out, bucketStatement{
			Effect:    s.Effect,
			Principal: map[string]string{"AWS": role},
			Action:    actions,
			Resource:  resources,
			Condition: conditions(s.Conditions),
		})
	}
	add(bucketActions, onBucket)
	add(objectActions, onObjects)
	return out
}

// resources returns those of a statement's resources that name the bucket, or
// objects in it, with the wildcards of the bucket's name filled in.
func resources(bucket string, all []string) (onBucket, onObjects []string) {
	for _, arn := range all {
		if arn == "*" {
			onBucket = append(onBucket, auth.ResourceArnPrefix+bucket)
			onObjects = append(onObjects, auth.ResourceArnPrefix+bucket+"/*")
			continue
		}
		rest, ok := strings.CutPrefix(arn, auth.ResourceArnPrefix)
		if !ok {
			continue
		}
		pattern, key, hasKey := strings.Cut(rest, "/")
		if match, err := path.Match(pattern, bucket); err != nil || !match {
			continue
		}
		if hasKey {
			onObjects = append(onObjects, auth.ResourceArnPrefix+bucket+"/"+key)
			continue
		}
		onBucket = append(onBucket, auth.ResourceArnPrefix+bucket)
	}
	return onBucket, onObjects
}

// actions returns those of a statement's actions that the server knows. One
// with a wildcard can mean both kinds.
func actions(all []string) (onBucket, onObjects []string) {
	for _, a := range all {
		if a == "*" {
			a = string(auth.AllActions)
		}
		action := auth.Action(a)
		if action.IsValid() != nil {
			continue // another service's, or one that nothing here asks for
		}
		onObject := action.IsObjectAction()
		if onObject == nil || *onObject {
			onObjects = append(onObjects, a)
		}
		if onObject == nil || !*onObject {
			onBucket = append(onBucket, a)
		}
	}
	return onBucket, onObjects
}

// conditions returns the part of a statement's conditions that the server can
// judge.
func conditions(all map[string]map[string][]string) map[string]map[string][]string {
	out := map[string]map[string][]string{}
	for operator, keys := range all {
		for key, values := range keys {
			if !conditionKeys[strings.ToLower(key)] {
				continue
			}
			if out[operator] == nil {
				out[operator] = map[string][]string{}
			}
			out[operator][key] = values
		}
	}
	return out
}

// store is the server's backend with policies that are kept in memory, and that
// are judged for a presigned POST as well.
//
// The server keeps a policy in an attribute of the bucket's folder, which most
// file systems bound to 4 KB; ours is set anew at each start.
//
// The server asks whether a POST may write to the bucket, not whether it may
// write the key that its form has; so for the time of that question the policy
// is put in terms of the bucket.
type store struct {
	backend.Backend
	policies *sync.Map // by bucket
}

// PutBucketPolicy keeps the policy of a bucket. The server uses the memory of a
// request again, so it is copied.
func (s store) PutBucketPolicy(_ context.Context, bucket string, policy []byte) error {
	s.policies.Store(strings.Clone(bucket), bytes.Clone(policy))
	return nil
}

// DeleteBucketPolicy drops it, and one that an earlier version of this code
// left in the folder.
func (s store) DeleteBucketPolicy(ctx context.Context, bucket string) error {
	s.policies.Delete(bucket)
	return s.Backend.DeleteBucketPolicy(ctx, bucket)
}

// GetBucketPolicy returns the policy of a bucket for the request of ctx.
func (s store) GetBucketPolicy(ctx context.Context, bucket string) ([]byte, error) {
	kept, ok := s.policies.Load(bucket)
	if !ok {
		return s.Backend.GetBucketPolicy(ctx, bucket)
	}
	doc, _ := kept.([]byte)
	post, ok := ctx.Value(string(utils.ContextKeyObjectPostResult)).(middlewares.PostObjectResult)
	if !ok {
		return doc, nil
	}
	return policyForKey(doc, bucket, post.Fields["key"])
}

// policyForKey returns a policy that says of the bucket what doc says of one
// key in it.
func policyForKey(doc []byte, bucket, key string) ([]byte, error) {
	var p bucketPolicy
	if err := json.Unmarshal(doc, &p); err != nil {
		return nil, fmt.Errorf("decode policy of bucket %s: %w", bucket, err)
	}
	about := bucketPolicy{Version: p.Version, Statement: []bucketStatement{}}
	for _, s := range p.Statement {
		patterns := auth.Resources{}
		for _, arn := range s.Resource {
			if err := patterns.Add(arn); err != nil {
				return nil, fmt.Errorf("read policy of bucket %s: %w", bucket, err)
			}
		}
		if patterns.FindMatch(bucket+"/"+key, nil) {
			s.Resource = []string{auth.ResourceArnPrefix + bucket}
			about.Statement = append(about.Statement, s)
		}
	}
	return json.Marshal(about)
}
