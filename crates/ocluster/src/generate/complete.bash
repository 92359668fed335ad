_ocluster_complete() {
    local IFS=$'\013' words=() before='' word i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        # Bash ends words at = and :, which these programs do not. It replaces what comes after that.
        if ((i > 1)) && [[ $word =~ ^[=:]+$ || ${COMP_WORDS[i - 1]} =~ ^[=:]+$ ]]; then
            before=${words[-1]}
            words[-1]+=$word
        else
            before=''
            words+=("$word")
        fi
    done
    if [[ $word =~ ^[=:]+$ ]]; then
        before=${words[-1]}
    else
        words[-1]=$before$2
    fi
    COMPREPLY=($(_CLAP_IFS=$IFS _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) \
        OCLUSTER_COMPLETE=bash "$1" -- "${words[@]}" 2>/dev/null))
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
    # Options are for those who have typed a dash, or where there is nothing else.
    local names=()
    for word in "${COMPREPLY[@]}"; do
        [[ $word == -* ]] || names+=("$word")
    done
    if [[ $2 != -* && ${#names[@]} -gt 0 ]]; then
        COMPREPLY=("${names[@]}")
    fi
    if [[ ${COMPREPLY[0]} == *[=/:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
