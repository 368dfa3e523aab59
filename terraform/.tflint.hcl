# The rules that are built in, all of them.
plugin "terraform" {
  enabled = true
  preset  = "all"
}
