package tfprovider

import "testing"

func TestPolicyDocument(t *testing.T) {
	values := object{
		"source_policy_documents": []any{`{"Version": "2012-10-17", "Statement": {"Sid": "First", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}`},
		"statement": []any{
			object{
				"sid": "Write", "actions": []any{"s3:PutObject", "s3:AbortMultipartUpload"}, "resources": []any{"arn:aws:s3:::b/*"},
				"condition": []any{object{"test": "Bool", "variable": "aws:SecureTransport", "values": []any{"true"}}},
			},
			object{"effect": "Deny", "actions": []any{"s3:*"}, "resources": []any{"*"}, "principals": []any{object{"type": "*", "identifiers": []any{"*"}}}},
			object{"actions": []any{"sts:AssumeRole"}, "principals": []any{object{"type": "Service", "identifiers": []any{"lambda.amazonaws.com"}}}},
		},
		"override_policy_documents": []any{`{"Statement": [{"Sid": "Write", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/*"}]}`},
	}
	if err := policyDocument(values); err != nil {
		t.Fatal(err)
	}
	const want = `{"Statement":[{"Action":"s3:GetObject","Effect":"Allow","Resource":"*","Sid":"First"},` +
		`{"Action":"s3:PutObject","Effect":"Allow","Resource":"arn:aws:s3:::b/*","Sid":"Write"},` +
		`{"Action":"s3:*","Effect":"Deny","Principal":"*","Resource":"*"},` +
		`{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"}}],"Version":"2012-10-17"}`
	if got := values["minified_json"]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	again := object{"statement": []any{object{"sid": "A", "actions": []any{"s3:*"}}, object{"sid": "A", "actions": []any{"s3:*"}}}}
	if err := policyDocument(again); err == nil {
		t.Error("two statements of one Sid are taken")
	}
}

func TestStatementCondition(t *testing.T) {
	s := statement(object{"condition": []any{
		object{"test": "StringEquals", "variable": "aws:SourceAccount", "values": []any{"1"}},
		object{"test": "StringEquals", "variable": "aws:x", "values": []any{"a", "b"}},
	}})
	c := s["Condition"].(object)["StringEquals"].(object)
	if c["aws:SourceAccount"] != "1" || len(c["aws:x"].([]any)) != 2 {
		t.Errorf("got %v", c)
	}
}
