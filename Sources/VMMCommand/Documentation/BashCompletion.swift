/// Completion for bash, without the functions of the package bash-completion, so that the file can
/// also be sourced alone.
enum BashCompletion {
  static var text: String {
    let names = CommandName.allCases.map(\.rawValue).joined(separator: " ")
    return """
      # bash completion for vmm-run, made by 'vmm-run documentation bash'.

      _vmm_run() {
        local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
        local command=${COMP_WORDS[1]} option='' options='' valued='' words='' first='' verbs=''
        local takes='' word index operands=0
        COMPREPLY=()
        if ((COMP_CWORD == 1)); then
          mapfile -t COMPREPLY < <(compgen -W '\(names) --help --version' -- "$current")
          return
        fi
        # Bash makes words of their own of '=' and ':'.
        if [[ $current == '=' ]]; then
          option=$previous current=''
        elif [[ $previous == '=' ]]; then
          option=${COMP_WORDS[COMP_CWORD - 2]}
        elif [[ $current != -* ]]; then
          option=$previous
        fi
        case $command in
      \(CommandName.allCases.map { cases(of: $0.definition) }.joined(separator: "\n"))
          *) return ;;
        esac
        if [[ $current == ':' ]]; then
          takes=files current=''
        elif [[ $previous == ':' ]]; then
          takes=files
        elif [[ -z $takes && $current != -* && -n $first ]]; then
          for ((index = 2; index < COMP_CWORD; index++)); do
            word=${COMP_WORDS[index]}
            case $word in
              -*)
                if [[ " $valued " == *" $word "* ]]; then
                  [[ ${COMP_WORDS[index + 1]} != '=' ]] || ((index++))
                  ((index++))
                fi
                ;;
              # unix:PATH is one operand.
              :) ((operands--)) ;;
              *) ((operands++)) ;;
            esac
          done
          case $operands in
            0) takes=$first ;;
            1) takes=words words=$verbs ;;
            *) takes=nothing ;;
          esac
        fi
        case $takes in
          '') mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current") ;;
          *words*) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current") ;;
        esac
        if [[ $takes == *files* ]]; then
          # Fails where nobody completes, as in a test.
          compopt -o filenames 2>/dev/null
          mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")
        fi
      }
      complete -F _vmm_run vmm-run

      """
  }

  private static func cases(of command: CommandDefinition) -> String {
    let options = command.completedOptions
    let names = options.map(\.name).joined(separator: " ")
    let valued = options.filter(\.takesValue)
    var lines = ["    \(command.name))", "      options='\(names)'"]
    if command.takesFile {
      lines.append("      first=files")
      lines.append("      valued='\(valued.map(\.name).joined(separator: " "))'")
      lines.append("      verbs='\(command.verbs.map(\.name).joined(separator: " "))'")
    }
    if !valued.isEmpty {
      lines.append("      case $option in")
      lines += valued.map { "        \($0.name)) \(values(of: $0)) ;;" }
      lines.append("      esac")
    }
    return (lines + ["      ;;"]).joined(separator: "\n")
  }

  private static func values(of option: OptionDefinition) -> String {
    switch (option.words.isEmpty, option.takesFile) {
    case (true, true): "takes=files"
    case (true, false): "takes=nothing"
    case (false, let takesFile):
      "takes=words\(takesFile ? "+files" : "") words="
        + CompletionText.quoted(option.words.joined(separator: " "))
    }
  }
}
