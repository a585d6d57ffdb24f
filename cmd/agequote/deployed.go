package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// deployment is a stack in an account. What it holds has the names that
// template.yaml gives.
type deployment struct{ stack, partition, account, region string }

// findDeployment asks AWS whose account it is. The stack itself is not asked
// for: to read its buckets is enough.
func findDeployment(ctx context.Context, stack string) (deployment, error) {
	cfg, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return deployment{}, fmt.Errorf("load AWS settings: %w", err)
	}
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
	if err != nil {
		return deployment{}, fmt.Errorf("ask for the account: %w", err)
	}
	return newDeployment(stack, aws.ToString(who.Account), cfg.Region, aws.ToString(who.Arn)), nil
}

// newDeployment takes the partition from the ARN of whoever asks.
func newDeployment(stack, account, region, caller string) deployment {
	d := deployment{stack: stack, partition: "aws", account: account, region: region}
	if parts := strings.Split(caller, ":"); len(parts) > 1 {
		d.partition = parts[1]
	}
	return d
}

// bucket is the name of a bucket: of cases, uploads, models, audit or failures.
func (d deployment) bucket(kind string) string {
	return fmt.Sprintf("%s-%s-%s-%s", d.stack, kind, d.account, d.region)
}

// machine is the ARN of the state machine of batches.
func (d deployment) machine() string {
	return fmt.Sprintf("arn:%s:states:%s:%s:stateMachine:%s-batch", d.partition, d.region, d.account, d.stack)
}
