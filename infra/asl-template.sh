#!/usr/bin/env bash
# Prints a template that has the state machine definition $1 in it: cfn-lint does
# not follow DefinitionUri.
set -euo pipefail
cat <<'END'
{"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Batch": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {
"RoleArn": "arn:aws:iam::000000000000:role/batch",
"DefinitionSubstitutions": {"UploadsBucket": "u", "CasesBucket": "c", "PredictFunction": "p", "QuoteFunction": "q", "ReportFunction": "r"},
"Definition":
END
cat "$1"
echo '}}}}'
