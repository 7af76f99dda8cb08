# Made by cidery generate packer from the recipe every-step 1; change the recipe, not this file.

packer {
  required_plugins {
    tart = {
      version = ">= 1.21.0"
      source = "github.com/cirruslabs/tart"
    }
  }
}

variable "ssh_username" {
  type    = string
  default = "admin"
}

# Of the account of the base image; PKR_VAR_ssh_password sets it.
variable "ssh_password" {
  type      = string
  sensitive = true
}

source "tart-cli" "image" {
  vm_name      = "every-step"
  vm_base_name = "ghcr.io/acme/macos@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  cpu_count    = 4
  memory_gb    = 8
  disk_size_gb = 100
  headless     = true
  communicator = "ssh"
  ssh_username = var.ssh_username
  ssh_password = var.ssh_password
  ssh_timeout  = "1200s"
}

build {
  name    = "every-step"
  sources = [
    "source.tart-cli.image",
  ]

  # low: text
  provisioner "shell" {
    inline          = [
      "echo \"$${HOME}\" %%{x} 'quoted'\necho \\ next",
    ]
    execute_command = "chmod +x '{{ .Path }}'; sudo -n env {{ .Vars }} '{{ .Path }}'"
    timeout         = "3600s"
    max_retries     = 1
  }

  # low: file
  provisioner "shell" {
    script  = "${path.root}/run.sh"
    timeout = "300s"
  }

  # low: copy
  provisioner "file" {
    source      = "${path.root}/files"
    destination = "/tmp/cidery-copy"
  }

  # low: copy
  provisioner "shell" {
    inline  = [
      "sudo -n mkdir -p \"$(dirname '/etc/it'\\''s here')\"",
      "sudo -n rm -rf '/etc/it'\\''s here'",
      "sudo -n mv /tmp/cidery-copy '/etc/it'\\''s here'",
      "sudo -n chown -R admin '/etc/it'\\''s here'",
      "sudo -n find '/etc/it'\\''s here' -type f -exec chmod 0640 {} +",
      "sudo -n find '/etc/it'\\''s here' -type d -exec chmod 0750 {} +",
    ]
    timeout = "600s"
  }

  # low: restart
  provisioner "shell" {
    inline            = [
      "sudo -n shutdown -r now",
    ]
    expect_disconnect = true
    timeout           = "600s"
  }

  # low: restart, until the guest answers again
  provisioner "shell" {
    inline       = [
      "true",
    ]
    pause_before = "15s"
    timeout      = "600s"
  }

  # high: brew
  provisioner "shell" {
    inline      = [
      "HOMEBREW_NO_AUTO_UPDATE=1 brew install python@3.12",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # high: cask
  provisioner "shell" {
    inline      = [
      "HOMEBREW_NO_AUTO_UPDATE=1 brew install --cask macfuse",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # high: npm
  provisioner "shell" {
    inline      = [
      "sudo -n env PATH=\"$PATH\" npm install --global @scope/tool@1.2.3 yarn",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # high: pip
  provisioner "shell" {
    inline      = [
      "sudo -n env PATH=\"$PATH\" PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install meson==1.8.2",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # high: cargo
  provisioner "shell" {
    inline      = [
      "cargo install --locked ripgrep@14.1.1",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # high: download
  provisioner "shell" {
    inline      = [
      "mkdir -p \"$(dirname \"$HOME\"/Downloads/a)\" && curl --fail --silent --show-error --location --proto '=https,http' --output \"$HOME\"/Downloads/a.part 'https://example.com/a?b=1&c=2' && echo '0000000000000000000000000000000000000000000000000000000000000000  '\"$HOME\"/Downloads/a.part | shasum -a 256 --check --status && mv \"$HOME\"/Downloads/a.part \"$HOME\"/Downloads/a",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # All tools, in the versions that the recipe demands.
  provisioner "shell" {
    inline = [
      "missing=0",
      "(node --version) 2>&1 | grep -Eq '(^|[^0-9.])24\\.3\\.0([^0-9.]|$)' || { echo 'node 24.3.0 is not there'; missing=1; }",
      "(python3 --version) > /dev/null 2>&1 || { echo 'python >=3.11 <3.13 is not there'; missing=1; }",
      "exit $missing",
    ]
  }
}
