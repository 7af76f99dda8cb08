# Made by cidery generate packer from the recipe macos-15 3.6; change the recipe, not this file.

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
  vm_name      = "macos-15"
  vm_base_name = "ghcr.io/cirruslabs/macos-sequoia-base@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  cpu_count    = 12
  memory_gb    = 32
  disk_size_gb = 500
  headless     = true
  communicator = "ssh"
  ssh_username = var.ssh_username
  ssh_password = var.ssh_password
  ssh_timeout  = "1200s"
}

build {
  name    = "macos-15"
  sources = [
    "source.tart-cli.image",
  ]

  # system: formulae
  provisioner "shell" {
    inline      = [
      "HOMEBREW_NO_AUTO_UPDATE=1 brew install autoconf automake ccache curl gh git go htop jq libtool make meson ninja pkgconf python@3.11 python@3.12 rust screen tailscale tmux tree wget",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # compilers: llvm
  provisioner "shell" {
    inline      = [
      "HOMEBREW_NO_AUTO_UPDATE=1 brew install llvm@19",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # compilers: fetch cmake
  provisioner "shell" {
    inline      = [
      "mkdir -p \"$(dirname /tmp/cmake.tar.gz)\" && curl --fail --silent --show-error --location --proto '=https,http' --output /tmp/cmake.tar.gz.part https://github.com/Kitware/CMake/releases/download/v3.30.5/cmake-3.30.5-macos-universal.tar.gz && echo '0000000000000000000000000000000000000000000000000000000000000000  '/tmp/cmake.tar.gz.part | shasum -a 256 --check --status && mv /tmp/cmake.tar.gz.part /tmp/cmake.tar.gz",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # compilers: install cmake
  provisioner "shell" {
    inline          = [
      "set -eu\nmkdir -p /opt/cmake\ntar -xzf /tmp/cmake.tar.gz -C /opt/cmake --strip-components=1\nrm /tmp/cmake.tar.gz\nmkdir -p /usr/local/bin\nln -sf /opt/cmake/CMake.app/Contents/bin/* /usr/local/bin/",
    ]
    execute_command = "chmod +x '{{ .Path }}'; sudo -n env {{ .Vars }} '{{ .Path }}'"
    timeout         = "3600s"
  }

  # runtimes: fetch node
  provisioner "shell" {
    inline      = [
      "mkdir -p \"$(dirname /tmp/node.tar.gz)\" && curl --fail --silent --show-error --location --proto '=https,http' --output /tmp/node.tar.gz.part https://nodejs.org/dist/v24.3.0/node-v24.3.0-darwin-arm64.tar.gz && echo '1111111111111111111111111111111111111111111111111111111111111111  '/tmp/node.tar.gz.part | shasum -a 256 --check --status && mv /tmp/node.tar.gz.part /tmp/node.tar.gz",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # runtimes: install node
  provisioner "shell" {
    inline          = [
      "set -eu\nmkdir -p /usr/local\ntar -xzf /tmp/node.tar.gz -C /usr/local --strip-components=1\nrm /tmp/node.tar.gz",
    ]
    execute_command = "chmod +x '{{ .Path }}'; sudo -n env {{ .Vars }} '{{ .Path }}'"
    timeout         = "3600s"
  }

  # runtimes: yarn
  provisioner "shell" {
    inline      = [
      "sudo -n env PATH=\"$PATH\" npm install --global yarn@1.22.22",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # runtimes: fetch bun
  provisioner "shell" {
    inline      = [
      "mkdir -p \"$(dirname /tmp/bun.zip)\" && curl --fail --silent --show-error --location --proto '=https,http' --output /tmp/bun.zip.part https://github.com/oven-sh/bun/releases/download/bun-v1.2.17/bun-darwin-aarch64.zip && echo '2222222222222222222222222222222222222222222222222222222222222222  '/tmp/bun.zip.part | shasum -a 256 --check --status && mv /tmp/bun.zip.part /tmp/bun.zip",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # runtimes: install bun
  provisioner "shell" {
    inline          = [
      "set -eu\nunzip -oqj /tmp/bun.zip -d /usr/local/bin\nln -sf bun /usr/local/bin/bunx\nrm /tmp/bun.zip",
    ]
    execute_command = "chmod +x '{{ .Path }}'; sudo -n env {{ .Vars }} '{{ .Path }}'"
    timeout         = "3600s"
  }

  # services: fetch agent
  provisioner "shell" {
    inline      = [
      "mkdir -p \"$(dirname /tmp/agent.tar.gz)\" && curl --fail --silent --show-error --location --proto '=https,http' --output /tmp/agent.tar.gz.part https://github.com/buildkite/agent/releases/download/v3.87.0/buildkite-agent-darwin-arm64-3.87.0.tar.gz && echo '3333333333333333333333333333333333333333333333333333333333333333  '/tmp/agent.tar.gz.part | shasum -a 256 --check --status && mv /tmp/agent.tar.gz.part /tmp/agent.tar.gz",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # services: install agent
  provisioner "shell" {
    inline          = [
      "set -eu\ntar -xzf /tmp/agent.tar.gz -C /usr/local/bin buildkite-agent\nrm /tmp/agent.tar.gz",
    ]
    execute_command = "chmod +x '{{ .Path }}'; sudo -n env {{ .Vars }} '{{ .Path }}'"
    timeout         = "600s"
  }

  # services: fetch age
  provisioner "shell" {
    inline      = [
      "mkdir -p \"$(dirname /tmp/age.tar.gz)\" && curl --fail --silent --show-error --location --proto '=https,http' --output /tmp/age.tar.gz.part https://github.com/FiloSottile/age/releases/download/v1.2.1/age-v1.2.1-darwin-arm64.tar.gz && echo '4444444444444444444444444444444444444444444444444444444444444444  '/tmp/age.tar.gz.part | shasum -a 256 --check --status && mv /tmp/age.tar.gz.part /tmp/age.tar.gz",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # services: install age
  provisioner "shell" {
    inline          = [
      "set -eu\ntar -xzf /tmp/age.tar.gz -C /tmp\nmv /tmp/age/age /tmp/age/age-keygen /usr/local/bin/\nrm -r /tmp/age /tmp/age.tar.gz",
    ]
    execute_command = "chmod +x '{{ .Path }}'; sudo -n env {{ .Vars }} '{{ .Path }}'"
    timeout         = "3600s"
  }

  # services: applications
  provisioner "shell" {
    inline      = [
      "HOMEBREW_NO_AUTO_UPDATE=1 brew install --cask docker-desktop macfuse chromium",
    ]
    timeout     = "1800s"
    max_retries = 2
  }

  # services: restart
  provisioner "shell" {
    inline            = [
      "sudo -n shutdown -r now",
    ]
    expect_disconnect = true
    timeout           = "600s"
  }

  # services: restart, until the guest answers again
  provisioner "shell" {
    inline       = [
      "true",
    ]
    pause_before = "15s"
    timeout      = "600s"
  }

  # All tools, in the versions that the recipe demands.
  provisioner "shell" {
    inline = [
      "missing=0",
      "(/opt/homebrew/opt/llvm@19/bin/clang --version) 2>&1 | grep -Eq '(^|[^0-9.])19\\.1\\.7([^0-9.]|$)' || { echo 'LLVM/Clang 19.1.7 is not there'; missing=1; }",
      "(cmake --version) 2>&1 | grep -Eq '(^|[^0-9.])3\\.30\\.5([^0-9.]|$)' || { echo 'CMake 3.30.5 is not there'; missing=1; }",
      "(node --version) 2>&1 | grep -Eq '(^|[^0-9.])24\\.3\\.0([^0-9.]|$)' || { echo 'Node 24.3.0 is not there'; missing=1; }",
      "(bun --version) 2>&1 | grep -Eq '(^|[^0-9.])1\\.2\\.17([^0-9.]|$)' || { echo 'Bun 1.2.17 is not there'; missing=1; }",
      "(buildkite-agent --version) 2>&1 | grep -Eq '(^|[^0-9.])3\\.87\\.0([^0-9.]|$)' || { echo 'Buildkite agent 3.87.0 is not there'; missing=1; }",
      "(python3.11 --version) > /dev/null 2>&1 || { echo 'Python 3.11 >=3.11 <3.12 is not there'; missing=1; }",
      "(python3.12 --version) > /dev/null 2>&1 || { echo 'Python 3.12 >=3.12 <3.13 is not there'; missing=1; }",
      "(age --version) 2>&1 | grep -Eq '(^|[^0-9.])1\\.2\\.1([^0-9.]|$)' || { echo 'Age 1.2.1 is not there'; missing=1; }",
      "(yarn --version) 2>&1 | grep -Eq '(^|[^0-9.])1\\.22\\.22([^0-9.]|$)' || { echo 'Yarn 1.22.22 is not there'; missing=1; }",
      "(brew --version) > /dev/null 2>&1 || { echo 'Homebrew >=4 is not there'; missing=1; }",
      "(python3.12 -m pip --version) > /dev/null 2>&1 || { echo 'pip any is not there'; missing=1; }",
      "(go version) > /dev/null 2>&1 || { echo 'Go any is not there'; missing=1; }",
      "(rustc --version) > /dev/null 2>&1 || { echo 'Rust any is not there'; missing=1; }",
      "(command -v gmake) > /dev/null 2>&1 || { echo 'make any is not there'; missing=1; }",
      "(command -v glibtool) > /dev/null 2>&1 || { echo 'libtool any is not there'; missing=1; }",
      "(command -v pkg-config) > /dev/null 2>&1 || { echo 'pkg-config any is not there'; missing=1; }",
      "(command -v ninja) > /dev/null 2>&1 || { echo 'ninja any is not there'; missing=1; }",
      "(command -v ccache) > /dev/null 2>&1 || { echo 'ccache any is not there'; missing=1; }",
      "(command -v npm) > /dev/null 2>&1 || { echo 'npm any is not there'; missing=1; }",
      "(command -v cargo) > /dev/null 2>&1 || { echo 'cargo any is not there'; missing=1; }",
      "(command -v autoconf) > /dev/null 2>&1 || { echo 'autoconf any is not there'; missing=1; }",
      "(command -v automake) > /dev/null 2>&1 || { echo 'automake any is not there'; missing=1; }",
      "(command -v meson) > /dev/null 2>&1 || { echo 'meson any is not there'; missing=1; }",
      "(command -v git) > /dev/null 2>&1 || { echo 'git any is not there'; missing=1; }",
      "(command -v gh) > /dev/null 2>&1 || { echo 'gh any is not there'; missing=1; }",
      "(command -v curl) > /dev/null 2>&1 || { echo 'curl any is not there'; missing=1; }",
      "(command -v wget) > /dev/null 2>&1 || { echo 'wget any is not there'; missing=1; }",
      "(command -v jq) > /dev/null 2>&1 || { echo 'jq any is not there'; missing=1; }",
      "(command -v tree) > /dev/null 2>&1 || { echo 'tree any is not there'; missing=1; }",
      "(command -v htop) > /dev/null 2>&1 || { echo 'htop any is not there'; missing=1; }",
      "(command -v tmux) > /dev/null 2>&1 || { echo 'tmux any is not there'; missing=1; }",
      "(command -v screen) > /dev/null 2>&1 || { echo 'screen any is not there'; missing=1; }",
      "(command -v tailscale) > /dev/null 2>&1 || { echo 'tailscale any is not there'; missing=1; }",
      "(test -d /Applications/Docker.app) > /dev/null 2>&1 || { echo 'Docker Desktop any is not there'; missing=1; }",
      "(test -d /Library/Filesystems/macfuse.fs) > /dev/null 2>&1 || { echo 'macFUSE any is not there'; missing=1; }",
      "(test -d /Applications/Chromium.app) > /dev/null 2>&1 || { echo 'Chromium any is not there'; missing=1; }",
      "exit $missing",
    ]
  }
}
