package samtemplate

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// resolver turns nodes into values.
type resolver struct {
	options    Options
	parameters map[string]string
	conditions map[string]node
	resources  map[string]node

	// busy holds the conditions and names being resolved, so that a template
	// that refers to itself in a circle is an error and not an endless loop.
	busy map[string]bool
}

// shortForms maps the long form of an intrinsic function to its tag.
var shortForms = map[string]string{
	"Ref":        "!Ref",
	"Fn::Sub":    "!Sub",
	"Fn::GetAtt": "!GetAtt",
	"Fn::If":     "!If",
	"Fn::Join":   "!Join",
	"Fn::Select": "!Select",
	"Fn::Equals": "!Equals",
	"Fn::Not":    "!Not",
	"Fn::And":    "!And",
	"Fn::Or":     "!Or",
}

// intrinsic returns the tag of the function that n calls, and its argument;
// the tag is empty where n calls none.
func intrinsic(n node) (string, node) {
	arg := n
	if n.tag != "" {
		arg.tag = ""
		return n.tag, arg
	}
	if len(n.keys) != 1 {
		return "", n
	}
	key := n.keys[0]
	arg = n.fields[key]
	if tag, ok := shortForms[key]; ok {
		return tag, arg
	}
	if strings.HasPrefix(key, "Fn::") {
		return key, arg
	}
	return "", n
}

// resolve returns what n comes to on deploying.
func (r *resolver) resolve(n node) (value, error) {
	tag, arg := intrinsic(n)
	switch tag {
	case "":
		return r.plain(n)
	case "!Ref":
		return r.ref(arg.line, arg.text)
	case "!Sub":
		return r.sub(arg)
	case "!GetAtt":
		return r.getAtt(arg)
	case "!Join":
		return r.join(arg)
	case "!Select":
		return r.selectItem(arg)
	case "!If":
		return r.choose(arg)
	}
	return value{}, errorAt(n.line, "%s is not known here", tag)
}

// plain resolves the parts of a node that calls no function. An item or field
// that comes to AWS::NoValue is left out.
func (r *resolver) plain(n node) (value, error) {
	out := value{line: n.line}
	switch {
	case n.null || n.line == 0: // null, or not in the template at all
	case n.isList:
		out.kind = list
		for _, item := range n.list {
			v, err := r.resolve(item)
			if err != nil {
				return value{}, err
			}
			if v.kind != absent {
				out.list = append(out.list, v)
			}
		}
	case n.fields != nil:
		out.kind, out.fields = mapping, map[string]value{}
		for _, key := range n.keys {
			v, err := r.resolve(n.fields[key])
			if err != nil {
				return value{}, err
			}
			if v.kind != absent {
				out.keys = append(out.keys, key)
				out.fields[key] = v
			}
		}
	default:
		out.kind, out.text = scalar, n.text
	}
	return out, nil
}

// resolveText resolves n and wants a single value of it.
func (r *resolver) resolveText(n node) (string, error) {
	v, err := r.resolve(n)
	if err != nil {
		return "", err
	}
	return v.str()
}

// arguments checks the number of arguments of an intrinsic function.
func arguments(arg node, tag string, least, most int) ([]node, error) {
	if len(arg.list) < least || len(arg.list) > most {
		return nil, errorAt(arg.line, "%s has the wrong number of arguments", tag)
	}
	return arg.list, nil
}

// ref resolves !Ref: a pseudo parameter, a parameter, or a resource's name.
func (r *resolver) ref(line int, name string) (value, error) {
	if name == "AWS::NoValue" {
		return value{line: line}, nil
	}
	pseudo := map[string]string{
		"AWS::AccountId": r.options.Account,
		"AWS::Partition": "aws",
		"AWS::Region":    r.options.Region,
		"AWS::StackName": r.options.StackName,
		"AWS::StackId":   fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/local", r.options.Region, r.options.Account, r.options.StackName),
		"AWS::URLSuffix": "amazonaws.com",
	}
	if text, ok := pseudo[name]; ok {
		return value{kind: scalar, line: line, text: text}, nil
	}
	if text, ok := r.parameters[name]; ok {
		return value{kind: scalar, line: line, text: text}, nil
	}
	text, err := r.physicalName(line, name)
	return value{kind: scalar, line: line, text: text}, err
}

// nameProperties holds the property that names a resource, by its type.
var nameProperties = map[string]string{
	typeFunction:          "FunctionName",
	typeBucket:            "BucketName",
	typeRole:              "RoleName",
	typeMachine:           "Name",
	"AWS::Logs::LogGroup": "LogGroupName",
	"AWS::SNS::Topic":     "TopicName",
	"AWS::SQS::Queue":     "QueueName",

	"AWS::SecretsManager::Secret": "Name",
}

// The types of resource that the package knows more of than their names.
const (
	typeFunction = "AWS::Serverless::Function"
	typeBucket   = "AWS::S3::Bucket"
	typeRole     = "AWS::IAM::Role"
	typeAPI      = "AWS::Serverless::HttpApi"
	typeMachine  = "AWS::Serverless::StateMachine"
)

// physicalName returns a resource's name: what the template gives it, else
// stack and logical id, to which a deployment would add random letters.
func (r *resolver) physicalName(line int, id string) (string, error) {
	res, ok := r.resources[id]
	if !ok {
		return "", errorAt(line, "there is no parameter or resource %s", id)
	}
	switch exists, err := r.exists(res); {
	case err != nil:
		return "", err
	case !exists: // CloudFormation refuses the template too
		return "", errorAt(line, "%s is not there, by its Condition", id)
	}
	kind := res.fields["Type"].text
	generated := r.options.StackName + "-" + id
	if kind == typeBucket {
		generated = strings.ToLower(generated) // a bucket's name has no capitals
	}
	property, ok := res.fields["Properties"].fields[nameProperties[kind]]
	if !ok {
		return generated, nil
	}
	if r.busy[id] {
		return "", errorAt(line, "the name of %s refers to itself", id)
	}
	r.busy[id] = true
	defer delete(r.busy, id)
	name, err := r.resolveText(property)
	if err != nil || name != "" {
		return name, err
	}
	return generated, nil
}

var variable = regexp.MustCompile(`\$\{[^{}]+\}`)

// sub resolves both forms of !Sub: a text, and a text with a map of its own
// variables. ${!x} stays ${x}.
func (r *resolver) sub(arg node) (value, error) {
	text, own := arg, map[string]node(nil)
	if arg.isList {
		args, err := arguments(arg, "!Sub", 2, 2)
		if err != nil {
			return value{}, err
		}
		text, own = args[0], args[1].fields
	}
	var failed error
	out := variable.ReplaceAllStringFunc(text.text, func(match string) string {
		name := match[2 : len(match)-1]
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		}
		s, err := r.variable(text.line, name, own)
		if err != nil && failed == nil {
			failed = err
		}
		return s
	})
	return value{kind: scalar, line: arg.line, text: out}, failed
}

func (r *resolver) variable(line int, name string, own map[string]node) (string, error) {
	if n, ok := own[name]; ok {
		return r.resolveText(n)
	}
	if id, attribute, ok := strings.Cut(name, "."); ok {
		return r.attribute(line, id, attribute)
	}
	v, err := r.ref(line, name)
	return v.text, err
}

func (r *resolver) getAtt(arg node) (value, error) {
	id, attribute, _ := strings.Cut(arg.text, ".")
	if arg.isList {
		args, err := arguments(arg, "!GetAtt", 2, 2)
		if err != nil {
			return value{}, err
		}
		id, attribute = args[0].text, args[1].text
	}
	text, err := r.attribute(arg.line, id, attribute)
	return value{kind: scalar, line: arg.line, text: text}, err
}

// attribute returns the ARN of a function, a bucket or a role: other
// attributes, and those of other resources, mean nothing locally.
func (r *resolver) attribute(line int, id, attribute string) (string, error) {
	if attribute == "Arn" && r.madeBySAM(id) {
		return r.roleARN(r.options.StackName + "-" + id), nil
	}
	name, err := r.physicalName(line, id)
	if err != nil {
		return "", err
	}
	if attribute == "Arn" {
		switch r.resources[id].fields["Type"].text {
		case typeFunction:
			return r.functionARN(name), nil
		case typeBucket:
			return bucketARN(name), nil
		case typeRole:
			return r.roleARN(name), nil
		}
	}
	return "", errorAt(line, "%s.%s is not known here", id, attribute)
}

// madeBySAM tells whether id is the role that SAM makes for a function.
func (r *resolver) madeBySAM(id string) bool {
	function, isRole := strings.CutSuffix(id, "Role")
	_, written := r.resources[id]
	return isRole && !written && r.resources[function].fields["Type"].text == typeFunction
}

func (r *resolver) functionARN(name string) string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", r.options.Region, r.options.Account, name)
}

func (r *resolver) roleARN(name string) string {
	return fmt.Sprintf("arn:aws:iam::%s:role/%s", r.options.Account, name)
}

func bucketARN(name string) string { return "arn:aws:s3:::" + name }

func (r *resolver) join(arg node) (value, error) {
	args, err := arguments(arg, "!Join", 2, 2)
	if err != nil {
		return value{}, err
	}
	items, err := r.resolve(args[1])
	if err != nil {
		return value{}, err
	}
	texts, err := items.strs()
	return value{kind: scalar, line: arg.line, text: strings.Join(texts, args[0].text)}, err
}

func (r *resolver) selectItem(arg node) (value, error) {
	args, err := arguments(arg, "!Select", 2, 2)
	if err != nil {
		return value{}, err
	}
	index, err := r.resolveText(args[0])
	if err != nil {
		return value{}, err
	}
	items, err := r.resolve(args[1])
	if err != nil {
		return value{}, err
	}
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= len(items.list) {
		return value{}, errorAt(arg.line, "!Select is out of the list")
	}
	return items.list[i], nil
}

// choose resolves !If; the branch not taken is not looked at.
func (r *resolver) choose(arg node) (value, error) {
	args, err := arguments(arg, "!If", 3, 3)
	if err != nil {
		return value{}, err
	}
	yes, err := r.named(args[0].line, args[0].text)
	if err != nil {
		return value{}, err
	}
	if yes {
		return r.resolve(args[1])
	}
	return r.resolve(args[2])
}

// named returns the outcome of a condition by its name.
func (r *resolver) named(line int, name string) (bool, error) {
	n, ok := r.conditions[name]
	if !ok {
		return false, errorAt(line, "there is no condition %s", name)
	}
	key := "condition " + name
	if r.busy[key] {
		return false, errorAt(line, "condition %s refers to itself", name)
	}
	r.busy[key] = true
	defer delete(r.busy, key)
	return r.condition(n)
}

// condition evaluates a condition function.
func (r *resolver) condition(n node) (bool, error) {
	if c, ok := n.fields["Condition"]; ok && len(n.keys) == 1 {
		return r.named(c.line, c.text)
	}
	tag, arg := intrinsic(n)
	switch tag {
	case "!Condition":
		return r.named(arg.line, arg.text)
	case "!Equals":
		return r.equals(arg)
	case "!Not":
		args, err := arguments(arg, tag, 1, 1)
		if err != nil {
			return false, err
		}
		is, err := r.condition(args[0])
		return !is, err
	case "!And", "!Or":
		return r.combine(tag, arg)
	}
	return false, errorAt(n.line, "want a condition")
}

func (r *resolver) equals(arg node) (bool, error) {
	args, err := arguments(arg, "!Equals", 2, 2)
	if err != nil {
		return false, err
	}
	left, err := r.resolveText(args[0])
	if err != nil {
		return false, err
	}
	right, err := r.resolveText(args[1])
	return left == right, err
}

func (r *resolver) combine(tag string, arg node) (bool, error) {
	args, err := arguments(arg, tag, 2, 10)
	if err != nil {
		return false, err
	}
	settling := tag == "!Or" // the outcome that settles it: true for or, false for and
	for _, a := range args {
		is, err := r.condition(a)
		if err != nil {
			return false, err
		}
		if is == settling {
			return settling, nil
		}
	}
	return !settling, nil
}
