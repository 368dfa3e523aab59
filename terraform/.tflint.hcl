# The rules that are built in, all of them but those below.
plugin "terraform" {
  enabled = true
  preset  = "all"
}

# Variables and outputs stand in files of their own everywhere; resources stand by topic, and not all in main.tf.
rule "terraform_standard_module_structure" {
  enabled = true
}
