package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/agequote/agequote/internal/local/samtemplate"
)

// provision makes the buckets that a kept folder does not have yet, and gives
// each its versioning and its policy, as a deployment would: through the API.
func (g *Gateway) provision(ctx context.Context, c Config) error {
	client := s3.New(s3.Options{
		BaseEndpoint: &g.Endpoint,
		Region:       c.Region,
		UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return g.Operator, nil
		}),
	})
	for _, b := range c.Buckets {
		if err := createBucket(ctx, client, b, c.Region); err != nil {
			return fmt.Errorf("create bucket %s: %w", b.Name, err)
		}
		if err := setCORS(ctx, client, b); err != nil {
			return fmt.Errorf("set CORS rules of bucket %s: %w", b.Name, err)
		}
		if err := setPolicy(ctx, client, b.Name, c.Roles); err != nil {
			return fmt.Errorf("set policy of bucket %s: %w", b.Name, err)
		}
	}
	return nil
}

func createBucket(ctx context.Context, client *s3.Client, b samtemplate.Bucket, region string) error {
	in := &s3.CreateBucketInput{Bucket: &b.Name}
	if b.Lock != nil {
		in.ObjectLockEnabledForBucket = aws.Bool(true)
	}
	if region != "us-east-1" { // the one region that S3 does not take as a constraint
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
	}
	var owned *types.BucketAlreadyOwnedByYou
	if _, err := client.CreateBucket(ctx, in); err != nil && !errors.As(err, &owned) {
		return err
	}
	if !b.Versioned {
		return nil
	}
	if err := setLock(ctx, client, b); err != nil {
		return err
	}
	_, err := client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket:                  &b.Name,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	return err
}

// setLock sets the bucket's default retention. A kept bucket that was made
// without Object Lock stays without: S3 has no way to add it.
func setLock(ctx context.Context, client *s3.Client, b samtemplate.Bucket) error {
	if b.Lock == nil {
		return nil
	}
	_, err := client.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{
		Bucket: &b.Name,
		ObjectLockConfiguration: &types.ObjectLockConfiguration{
			ObjectLockEnabled: types.ObjectLockEnabledEnabled,
			Rule: &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{
				Mode: types.ObjectLockRetentionMode(b.Lock.Mode), Days: aws.Int32(int32(b.Lock.Days)),
			}},
		},
	})
	return err
}

// setCORS gives the bucket its rules, or takes those of an earlier template from
// a kept one.
func setCORS(ctx context.Context, client *s3.Client, b samtemplate.Bucket) error {
	if len(b.CORS) == 0 {
		_, err := client.DeleteBucketCors(ctx, &s3.DeleteBucketCorsInput{Bucket: &b.Name})
		return err
	}
	var rules []types.CORSRule
	for _, c := range b.CORS {
		rule := types.CORSRule{AllowedOrigins: c.Origins, AllowedMethods: c.Methods, AllowedHeaders: c.Headers, ExposeHeaders: c.Expose}
		if c.MaxAge > 0 {
			rule.MaxAgeSeconds = aws.Int32(int32(c.MaxAge))
		}
		rules = append(rules, rule)
	}
	_, err := client.PutBucketCors(ctx, &s3.PutBucketCorsInput{Bucket: &b.Name, CORSConfiguration: &types.CORSConfiguration{CORSRules: rules}})
	return err
}

func setPolicy(ctx context.Context, client *s3.Client, bucket string, roles []Role) error {
	doc, err := policyFor(bucket, roles)
	if err != nil {
		return err
	}
	if doc == nil {
		// A kept folder may hold the policy of an earlier template.
		_, err := client.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: &bucket})
		return err
	}
	_, err = client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: aws.String(string(doc))})
	return err
}
