// Package config reads the functions' settings, once, from the environment that
// template.yaml sets. Every missing or bad name is reported at once. Nothing
// else in the project reads the environment of a function.
package config

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Predict is what functions/predict is told.
type Predict struct {
	UploadsBucket      string        // photos
	CasesBucket        string        // applications, estimates
	ModelsBucket       string        // model packages and the live pointer
	ModelFollow        time.Duration // between two looks at the pointer
	ModelDir           string        // the model package while nothing is live
	AllowResearchModel bool          // a model with use "research" may run
	MetricsNamespace   string
}

// Quote is what functions/quote is told.
type Quote struct {
	CasesBucket      string
	AuditBucket      string  // heads of the cases' chains
	SampleShare      float64 // of the cases quoted without a person, 0 to 1
	SampleSeed       string  // which cases these are
	MetricsNamespace string
}

// Failed is what functions/failed is told.
type Failed struct {
	FailuresBucket   string // Lambda's records of what gave up
	CasesBucket      string
	PredictFunction  string // name, to send single records again
	MetricsNamespace string
}

// Onboard is what functions/onboard is told.
type Onboard struct {
	UploadsBucket    string
	CasesBucket      string
	QuoteFunction    string // name, to have corrected facts quoted
	ServiceKey       string // ids and secrets of cases follow from it
	RetentionDays    int    // photos are kept so long at most
	MetricsNamespace string
}

// Report is what functions/report is told.
type Report struct {
	CasesBucket      string // cases and batches
	MetricsNamespace string
}

// LoadReport reads the settings of functions/report.
func LoadReport(getenv func(string) string) (Report, error) {
	e := env{get: getenv}
	c := Report{
		CasesBucket:      e.text("CASES_BUCKET"),
		MetricsNamespace: e.text("METRICS_NAMESPACE"),
	}
	return c, e.err()
}

// Review is what functions/review is told.
type Review struct {
	UploadsBucket    string
	CasesBucket      string
	AuditBucket      string // heads of the cases' chains
	QuoteFunction    string // name, to have decisions quoted
	Issuer           string // of the tokens, for the page
	TokenOrigin      string // of the issuer's token endpoint; the issuer, where that has its origin
	ClientID         string
	Audience         string
	Scope            string // that the page asks for
	RoleClaim        string // claim of the token that holds the role
	MetricsNamespace string
}

// LoadReview reads the settings of functions/review.
func LoadReview(getenv func(string) string) (Review, error) {
	e := env{get: getenv}
	c := Review{
		UploadsBucket:    e.text("UPLOADS_BUCKET"),
		CasesBucket:      e.text("CASES_BUCKET"),
		AuditBucket:      e.text("AUDIT_BUCKET"),
		QuoteFunction:    e.text("QUOTE_FUNCTION"),
		Issuer:           e.text("REVIEW_ISSUER"),
		TokenOrigin:      e.text("REVIEW_TOKEN_ORIGIN"),
		ClientID:         e.text("REVIEW_CLIENT_ID"),
		Audience:         e.text("REVIEW_AUDIENCE"),
		Scope:            e.text("REVIEW_SCOPE"),
		RoleClaim:        e.text("REVIEW_ROLE_CLAIM"),
		MetricsNamespace: e.text("METRICS_NAMESPACE"),
	}
	return c, e.err()
}

// LoadPredict reads the settings of functions/predict.
func LoadPredict(getenv func(string) string) (Predict, error) {
	e := env{get: getenv}
	c := Predict{
		UploadsBucket:      e.text("UPLOADS_BUCKET"),
		CasesBucket:        e.text("CASES_BUCKET"),
		ModelsBucket:       e.text("MODELS_BUCKET"),
		ModelFollow:        e.seconds("MODEL_FOLLOW_SECONDS"),
		ModelDir:           e.text("MODEL_DIR"),
		AllowResearchModel: e.yes("ALLOW_RESEARCH_MODEL"),
		MetricsNamespace:   e.text("METRICS_NAMESPACE"),
	}
	return c, e.err()
}

// LoadQuote reads the settings of functions/quote.
func LoadQuote(getenv func(string) string) (Quote, error) {
	e := env{get: getenv}
	c := Quote{
		CasesBucket:      e.text("CASES_BUCKET"),
		AuditBucket:      e.text("AUDIT_BUCKET"),
		SampleShare:      e.share("SAMPLE_SHARE"),
		SampleSeed:       e.text("SAMPLE_SEED"),
		MetricsNamespace: e.text("METRICS_NAMESPACE"),
	}
	return c, e.err()
}

// LoadFailed reads the settings of functions/failed.
func LoadFailed(getenv func(string) string) (Failed, error) {
	e := env{get: getenv}
	c := Failed{
		FailuresBucket:   e.text("FAILURES_BUCKET"),
		CasesBucket:      e.text("CASES_BUCKET"),
		PredictFunction:  e.text("PREDICT_FUNCTION"),
		MetricsNamespace: e.text("METRICS_NAMESPACE"),
	}
	return c, e.err()
}

// LoadOnboard reads the settings of functions/onboard.
func LoadOnboard(getenv func(string) string) (Onboard, error) {
	e := env{get: getenv}
	c := Onboard{
		UploadsBucket:    e.text("UPLOADS_BUCKET"),
		CasesBucket:      e.text("CASES_BUCKET"),
		QuoteFunction:    e.text("QUOTE_FUNCTION"),
		ServiceKey:       e.text("SERVICE_KEY"),
		RetentionDays:    e.whole("RETENTION_DAYS", "a whole number"),
		MetricsNamespace: e.text("METRICS_NAMESPACE"),
	}
	return c, e.err()
}

// env collects what is wrong.
type env struct {
	get      func(string) string
	problems []error
}

func (e *env) text(name string) string {
	v := e.get(name)
	if v == "" {
		e.problems = append(e.problems, fmt.Errorf("%s is not set", name))
	}
	return v
}

func (e *env) yes(name string) bool {
	switch v := e.text(name); v {
	case "yes":
		return true
	case "no", "":
		return false
	default:
		e.problems = append(e.problems, fmt.Errorf("%s is %q, want yes or no", name, v))
		return false
	}
}

func (e *env) seconds(name string) time.Duration {
	return time.Duration(e.whole(name, "whole seconds")) * time.Second
}

// whole reads a number from 1; what is how a problem calls it.
func (e *env) whole(name, what string) int {
	v := e.text(name)
	n, err := strconv.Atoi(v)
	if v != "" && (err != nil || n < 1) {
		e.problems = append(e.problems, fmt.Errorf("%s is %q, want %s from 1", name, v, what))
	}
	return n
}

// share reads a number from 0 to 1.
func (e *env) share(name string) float64 {
	v := e.text(name)
	x, err := strconv.ParseFloat(v, 64)
	if v != "" && (err != nil || !(x >= 0 && x <= 1)) {
		e.problems = append(e.problems, fmt.Errorf("%s is %q, want a share from 0 to 1", name, v))
	}
	return x
}

func (e *env) err() error {
	if len(e.problems) == 0 {
		return nil
	}
	return fmt.Errorf("read settings: %w", errors.Join(e.problems...))
}
