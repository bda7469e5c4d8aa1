# SPDX-License-Identifier: Apache-2.0
# bash completion for spanshim

_spanshim()
{
    local current=${COMP_WORDS[COMP_CWORD]}
    local previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command=${COMP_WORDS[1]}
    local i

    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W 'run doctor lib settings status flush report crashes log stop purge --help --version' -- "$current")
        return
    fi
    case $command in
    run)
        # behind the program's name its own completion goes on
        for ((i = 2; i < COMP_CWORD; i++)); do
            case ${COMP_WORDS[i]} in
            --service | --env-file) ((i++)) ;;
            --)
                _spanshim_program $((i + 1))
                return
                ;;
            -*) ;;
            *)
                _spanshim_program "$i"
                return
                ;;
            esac
        done
        case $previous in
        --service) ;;
        --env-file) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        *)
            if [[ $current == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W '--service --env-file --init --help --' -- "$current")
            else
                mapfile -t COMPREPLY < <(compgen -c -- "$current")
            fi
            ;;
        esac
        ;;
    doctor)
        for ((i = 2; i < COMP_CWORD; i++)); do
            case ${COMP_WORDS[i]} in
            --pid | -p | --env-file) ((i++)) ;;
            -*) ;;
            *) # the program's arguments
                mapfile -t COMPREPLY < <(compgen -f -- "$current")
                return
                ;;
            esac
        done
        case $previous in
        --pid | -p) ;;
        --env-file) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        *)
            if [[ $current == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W '--json --pid --env-file --send --help' -- "$current")
            else
                mapfile -t COMPREPLY < <(compgen -c -- "$current")
            fi
            ;;
        esac
        ;;
    settings)
        case $previous in
        --env-file) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        *) mapfile -t COMPREPLY < <(compgen -W '--env-file --json --help' -- "$current") ;;
        esac
        ;;
    status) mapfile -t COMPREPLY < <(compgen -W '--json --help' -- "$current") ;;
    flush) mapfile -t COMPREPLY < <(compgen -W '--timeout --help' -- "$current") ;;
    report)
        case $previous in
        --level | -l) mapfile -t COMPREPLY < <(compgen -W 'critical error warning info debug' -- "$current") ;;
        --env-file) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        *) mapfile -t COMPREPLY < <(compgen -W '--level --title --env-file --help' -- "$current") ;;
        esac
        ;;
    crashes) mapfile -t COMPREPLY < <(compgen -W '--json last --help' -- "$current") ;;
    purge) mapfile -t COMPREPLY < <(compgen -W '--yes --dry-run --stop --help' -- "$current") ;;
    log) mapfile -t COMPREPLY < <(compgen -W '-f -n --follow --lines --help' -- "$current") ;;
    esac
}

# Complete a command line that starts at word $1.
_spanshim_program()
{
    if declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
    fi
}

complete -o filenames -F _spanshim spanshim
